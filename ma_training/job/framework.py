"""The seam between the agent, which keeps processes alive, and a framework, which knows what they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .topology import Topology


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of the whole job. Nothing that names a rendezvous is shared between two of them."""

    index: int  # 0 for the first
    job_id: str
    topology: Topology
    master_port: int
    max_restarts: int


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One process to run. ``env`` is laid over the launcher's own environment."""

    rank: int
    local_rank: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    bootstrapped: bool  # the toolkit's bootstrap runs in it: it reports phases, steps and exceptions


class Framework(Protocol):
    """Turns an attempt into this node's worker processes."""

    name: str

    def workers(self, attempt: Attempt) -> Sequence[WorkerSpec]: ...
