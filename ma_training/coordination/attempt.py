"""One attempt as the leader sees it, and what it failed of. Pure."""

from dataclasses import dataclass, field

from ma_training.diagnosis import WorkerFailure, is_consequence, root_cause_of_nodes


@dataclass(slots=True)
class Plan:
    attempt: int
    nodes: list[str]  # by node rank; '' where a new leader has not heard of that one yet
    digest: str = ""
    began: float = 0.0
    waiting: set[int] = field(default_factory=set)  # connections of those that are not done with it
    first_failure: float | None = None  # when it was reported
    failures: dict[int, list[WorkerFailure]] = field(default_factory=dict)  # by node rank, as reported
    lost: list[tuple[str, str, str]] = field(default_factory=list)  # host, machine, why
    resize: str = ""  # why it was stopped, where nothing had failed
    steps: int | None = None
    abandoned: tuple[int, ...] = ()

    @property
    def missing(self) -> list[int]:
        return [rank for rank, node in enumerate(self.nodes) if not node]

    def add(self, node_rank: int, failure: WorkerFailure) -> None:
        known = self.failures.setdefault(node_rank, [])
        if all(other.rank != failure.rank for other in known):
            known.append(failure)

    def root(self) -> tuple[WorkerFailure | None, int]:
        """The failure that the others follow from, and its node rank; None where a node was lost first."""
        if not any(self.failures.values()):
            return None, -1
        root, index = root_cause_of_nodes(list(self.failures.values()))
        if (self.lost or self.resize) and (root.by_us or is_consequence(root.error)):
            return None, -1
        return root, list(self.failures)[index]
