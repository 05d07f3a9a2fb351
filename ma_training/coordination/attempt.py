"""One attempt as the leader sees it, and what it failed of. Pure."""

from dataclasses import dataclass, field

from ma_training.diagnosis import WorkerFailure, is_consequence, root_cause_of_nodes

from .messages import Slice


@dataclass(slots=True)
class Plan:
    attempt: int
    nodes: list[str]  # by node rank; '' where a new leader has not heard of that one yet
    digest: str
    began: float
    base: int = -1  # the last attempt of which all of its nodes have heard
    base_nodes: int = 0  # how many those were
    same: bool = False  # they are the same nodes
    settled: bool = False  # all nodes have heard of this one
    given: bool = False  # each has the node rank that its user has given it
    hearsay: bool = False  # another leader began it; this one has it from the agents
    waiting: set[int] = field(default_factory=set)  # connections of those that are not done with it
    unconfirmed: set[str] = field(default_factory=set)  # nodes that may not have heard of it
    objection: tuple[str, bool] | None = None  # why it cannot go on; whether workers are asked first
    first_failure: float | None = None  # when it was reported
    failures: dict[int, list[WorkerFailure]] = field(default_factory=dict)  # by node rank, as reported
    standing: dict[int, WorkerFailure] = field(default_factory=dict)  # by node rank: all of it waits
    lost: list[tuple[str, str, str]] = field(default_factory=list)  # host, machine, why
    resize: str = ""  # why it was stopped, where nothing had failed
    cut_short: bool = False  # some workers were ended by an agent that had lost its leader
    steps: int | None = None
    abandoned: tuple[int, ...] = ()

    @classmethod
    def heard_of(cls, part: Slice, now: float) -> "Plan":
        nodes = [""] * part.nnodes
        base = (part.base, part.base_nodes, part.same)
        return cls(part.attempt, nodes, part.digest, now, *base, given=part.given, hearsay=True)

    def contains(self, part: Slice) -> bool:
        """``part`` is a slice of it."""
        return (self.attempt, self.digest, len(self.nodes)) == (part.attempt, part.digest, part.nnodes)

    @property
    def missing(self) -> list[int]:
        return [rank for rank, node in enumerate(self.nodes) if not node]

    def object(self, why: str, now: float, settle: bool = False) -> None:
        """The first objection counts."""
        if self.objection is None:
            self.objection, self.first_failure = (why, settle), now

    def add(self, node_rank: int, failure: WorkerFailure) -> None:
        known = self.failures.setdefault(node_rank, [])
        if all(other.rank != failure.rank for other in known):
            known.append(failure)

    def root(self) -> tuple[WorkerFailure | None, int]:
        """The failure that the others follow from, and its node rank; None where a node was lost first."""
        if not any(self.failures.values()):
            return None, -1
        root, index = root_cause_of_nodes(list(self.failures.values()))
        if (self.lost or self.resize or self.cut_short) and (root.by_us or is_consequence(root.error)):
            return None, -1
        return root, list(self.failures)[index]
