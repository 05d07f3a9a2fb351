"""Alibaba PAI-DLC: WORLD_SIZE counts nodes, RANK is this one."""

from .base import Platform
from .discovery import Discovery
from .environment import Environment


class PaiDlc(Platform):
    title = "PAI-DLC"

    def discover(self, environment: Environment) -> Discovery:
        return Discovery(
            nnodes=environment.whole("WORLD_SIZE", least=1),
            node_rank=environment.whole("RANK"),
            workers=environment.whole("NPROC_PER_NODE", least=1),
            master_addr=environment.text("MASTER_ADDR"),
            master_port=environment.whole("MASTER_PORT", least=1),
            job_id=environment.text("DLC_JOB_ID"),
        )
