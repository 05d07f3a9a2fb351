"""Kubeflow Trainer v2: torchrun's own PET_* variables, and nothing else."""

from launchers.cli.errors import UsageError

from .base import Platform
from .discovery import Discovery
from .environment import HINT, Environment


class Trainer(Platform):
    title = "Kubeflow Trainer"

    def discover(self, environment: Environment) -> Discovery:
        count = environment.text("PET_NPROC_PER_NODE")
        named = count and count.value in ("auto", "gpu", "npu", "cpu")
        nodes, rank = environment.whole("PET_NNODES", least=1), environment.whole("PET_NODE_RANK")
        if nodes and nodes.value > 1 and rank is None:
            raise UsageError(f"PET_NNODES is {nodes.value}, but PET_NODE_RANK is not set", HINT)
        return Discovery(
            nnodes=nodes,
            node_rank=rank,
            workers=None if named else environment.whole("PET_NPROC_PER_NODE", least=1),
            master_addr=environment.text("PET_MASTER_ADDR"),
            master_port=environment.whole("PET_MASTER_PORT", least=1),
        )
