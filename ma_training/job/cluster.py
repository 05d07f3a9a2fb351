"""How the agents of a job on several nodes find each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cluster:
    min_nodes: int
    max_nodes: int
    host: str  # where the leader is expected
    port: int
    node_rank: int | None = None  # None: the leader gives one
    spare_nodes: int = 0
    join_timeout: float = 600.0  # seconds
    leads: bool = False  # this node is where the leader is expected
    bind: str = ""  # the address to lead at; "" for all
    address: str = ""  # where others reach this node

    @property
    def endpoint(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
