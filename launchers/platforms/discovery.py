"""What a platform has said about this job, each fact with the variable that said it."""

from launchers.cli.errors import UsageError

from .environment import HINT, Fact


class Discovery:
    """``nnodes`` counts launchers: mpirun and srun start several on one machine (``beside``).

    By hand, as a dataclass costs a tenth of all that discovery may take.
    """

    def __init__(
        self,
        nnodes: Fact[int] | None = None,
        node_rank: Fact[int] | None = None,
        workers: Fact[int] | None = None,
        hosts: Fact[tuple[str, ...]] | None = None,
        master_addr: Fact[str] | None = None,
        master_port: Fact[int] | None = None,
        job_id: Fact[str] | None = None,
    ) -> None:
        self.nnodes, self.node_rank = nnodes, node_rank
        self.workers = workers  # of this launcher
        self.hosts = hosts  # in rank order, where there is one launcher a host
        self.master_addr, self.master_port, self.job_id = master_addr, master_port, job_id
        self.beside = (0, 1)  # this launcher's index on its machine, and how many there are
        self.notes: list[str] = []  # what the user should know

    def check(self, ranked: bool) -> None:
        """Raises UsageError where facts contradict each other. ``ranked``: by the user, with --node-rank."""
        nnodes, rank, hosts = self.nnodes, self.node_rank, self.hosts
        if nnodes and nnodes.value > 1 and rank is None and not ranked:
            raise UsageError(
                f"{nnodes.origin} says {nnodes.value} nodes, but nothing says which of them this is",
                "say it with --node-rank",
            )
        if nnodes and hosts and len(hosts.value) != nnodes.value:
            count = len(hosts.value)
            raise UsageError(
                f"{nnodes.origin} says {nnodes.value} nodes, but {hosts.origin} names {count}: "
                f"{', '.join(hosts.value)[:300]}",
                HINT,
            )
        if nnodes and rank and rank.value >= nnodes.value:
            raise UsageError(
                f"{rank.origin} says this is node {rank.value}, but {nnodes.origin} says there are "
                f"{nnodes.value}: ranks go from 0 to {nnodes.value - 1}",
                HINT,
            )
