"""Whether enough nodes are here for a leader to begin an attempt, and no other leader can. Pure.

A successor needs more than half of the last plan's nodes, the leader at the job's endpoint half of
them: together that is more than all, so never both. A plan of which not all of its nodes have heard
does not count alone: those that have not may still count for the plan before it.
"""

from collections.abc import Container, Sequence


class Quorum:
    def __init__(self, successor: bool) -> None:
        self.successor = successor
        self.base: tuple[int, Sequence[str]] = (-1, ())  # the last attempt that all have heard of, its nodes
        self._plans: list[Sequence[str]] = []  # nodes of later ones
        self._accounted: set[str] = set()  # nodes that will vote for no one else

    def needed(self, nodes: int) -> int:
        return nodes // 2 + 1 if self.successor else (nodes + 1) // 2

    def planned(self, nodes: Sequence[str]) -> None:
        if set(nodes) != set(self.base[1]):
            self._plans.append(nodes)

    def settled(self, attempt: int, nodes: Sequence[str]) -> None:
        """All of them have heard of the last plan."""
        self.base = (attempt, nodes)
        self._plans.clear()
        self._accounted.intersection_update(nodes)

    def reset(self) -> None:
        """No plan is known here any more."""
        self.base = (-1, ())
        self._plans.clear()
        self._accounted.clear()

    def account_for(self, node: str) -> None:
        """It has said that it ends, or another agent has come in its place."""
        self._accounted.add(node)

    def met(self, present: Container[str]) -> bool:
        def enough(nodes: Sequence[str]) -> bool:
            here = sum(node in present or node in self._accounted for node in nodes)
            return here >= self.needed(len(nodes))

        return all(enough(nodes) for nodes in (self.base[1], *self._plans) if nodes)
