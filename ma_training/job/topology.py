"""Where a job runs: how many nodes, which one this is, how many workers each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topology:
    """The shape of a job, as this node sees it. Every node runs ``nproc_per_node`` workers."""

    nproc_per_node: int
    nnodes: int = 1
    node_rank: int = 0
    node_name: str = "node0"
    master_addr: str = "127.0.0.1"
    master_port: int | None = None  # None: chosen anew for each attempt (one node only)
    # mpirun and srun start several launchers on one machine, each a "node" to the others.
    local_index: int = 0  # which of them this is
    local_launchers: int = 1

    @property
    def world_size(self) -> int:
        return self.nnodes * self.nproc_per_node

    @property
    def first_rank(self) -> int:
        """The global rank of this node's local rank 0."""
        return self.node_rank * self.nproc_per_node

    @property
    def first_local_rank(self) -> int:
        return self.local_index * self.nproc_per_node

    @property
    def local_world_size(self) -> int:
        """Workers on this machine."""
        return self.local_launchers * self.nproc_per_node
