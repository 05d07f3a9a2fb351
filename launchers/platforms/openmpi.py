"""OpenMPI: mpirun starts a launcher in each slot, and each launcher one worker."""

import re

from launchers.cli.errors import UsageError

from .base import Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact, split_endpoint
from .ports import port_from

_FIRST_TCP = r"tcp6?://(\[[^\]]+\]|[^,:;]+)"


class OpenMPI(Platform):
    title = "OpenMPI"

    def discover(self, environment: Environment) -> Discovery:
        size = environment.whole("OMPI_COMM_WORLD_SIZE", least=1)
        local_size = environment.whole("OMPI_COMM_WORLD_LOCAL_SIZE", least=1)
        rank = environment.whole("OMPI_COMM_WORLD_RANK")
        local_rank = environment.whole("OMPI_COMM_WORLD_LOCAL_RANK")
        if size is None or rank is None:
            raise UsageError("OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE are not both set", HINT)
        if local_size and local_size.value > size.value:
            raise UsageError(
                f"{local_size.origin} is {local_size.value}, more than {size.origin}, {size.value}", HINT
            )
        if local_rank and local_size and local_rank.value >= local_size.value:
            raise UsageError(
                f"{local_rank.origin} is {local_rank.value}, but {local_size.origin} is {local_size.value}",
                HINT,
            )
        found = Discovery(nnodes=size, node_rank=rank)
        launchers = local_size.value if local_size else 1
        found.beside = (local_rank.value if local_rank else 0, launchers)
        if launchers > 1 or "CUDA_VISIBLE_DEVICES" not in environment:
            found.workers = Fact(1, "mpirun starts a process for each worker")
        found.master_addr = self._master(environment, size, launchers)
        job = environment.text("OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE", "OMPI_MCA_orte_hnp_uri")
        found.master_port = environment.whole("MASTER_PORT", least=1)
        if not found.master_port and job:
            found.master_port = Fact(port_from(job.value), f"from {job.origin}")
        return found

    def _master(self, environment: Environment, size: Fact[int], launchers: int) -> Fact[str] | None:
        given = environment.text("MASTER_ADDR")
        if given:
            return Fact(split_endpoint(given.value, given.origin)[0], given.origin)
        if launchers == size.value:
            return Fact("127.0.0.1", "all processes are on this machine")
        mpirun = environment.text("OMPI_MCA_orte_hnp_uri")
        address = re.search(_FIRST_TCP, mpirun.value) if mpirun else None
        if mpirun and address:  # rank 0 runs where mpirun does, unless its host file says otherwise
            return Fact(address[1].strip("[]"), mpirun.origin)
        return None
