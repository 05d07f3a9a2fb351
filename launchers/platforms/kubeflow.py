"""Kubeflow v1's PyTorchJob: RANK is the pod's; WORLD_SIZE counts processes, or pods where it is old."""

from launchers.cli.errors import UsageError
from ma_training.job import ExitCode

from .base import Contract, Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact, contradiction

PERMANENT_BELOW = 128  # its restart policy ExitCode: a code from here on is tried again


class Kubeflow(Platform):
    title = "Kubeflow PyTorchJob"
    contract = Contract(
        exit_codes={
            int(code): PERMANENT_BELOW + code
            for code in (ExitCode.PRECHECK_FAILED, ExitCode.PREEMPTED, ExitCode.HANG)
        }
    )

    def discover(self, environment: Environment) -> Discovery:
        found = Discovery(
            master_addr=environment.text("MASTER_ADDR"),
            master_port=environment.whole("MASTER_PORT", least=1),
            node_rank=environment.agreed("PET_NODE_RANK", "RANK"),
        )
        count = environment.text("PET_NPROC_PER_NODE")
        if count and count.value not in ("auto", "gpu", "npu", "cpu"):
            found.workers = environment.whole("PET_NPROC_PER_NODE", least=1)
        processes, pods = environment.whole("WORLD_SIZE", least=1), environment.text("PET_NNODES")
        if pods and ":" in pods.value:  # elastic: options read it
            return found
        found.nnodes = environment.whole("PET_NNODES", least=1)
        if processes is None:
            return found
        each = found.workers or Fact(1, "")
        if processes.value % each.value:
            raise UsageError(
                f"{processes.origin} is {processes.value}, not a multiple of {each.origin}, {each.value}",
                HINT,
            )
        if found.nnodes is None:
            found.nnodes = Fact(processes.value // each.value, processes.origin)
        elif processes.value != found.nnodes.value * each.value:
            origins = f"{found.nnodes.origin} with {each.origin or 'no PET_NPROC_PER_NODE'}"
            total = Fact(f"{found.nnodes.value} pods of {each.value}", origins)
            raise contradiction(processes, total)
        return found
