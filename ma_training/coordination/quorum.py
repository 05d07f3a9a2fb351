"""Whether enough nodes are here for a leader to begin an attempt, and no other leader can. Pure.

A successor needs more than half of the last plan's nodes, the leader at the job's endpoint half of
them: together that is more than all, so never both. A plan of which not all of its nodes have heard
does not count alone: those that have not may still count for the plan before it.
"""

from collections.abc import Container, Sequence


class Quorum:
    def __init__(self, successor: bool) -> None:
        self.successor = successor
        self._plans: list[Sequence[str]] = []  # nodes; the last one's, before it those it may compete with
        self._accounted: set[str] = set()  # nodes that will vote for no one else

    def needed(self, nodes: int) -> int:
        return nodes // 2 + 1 if self.successor else (nodes + 1) // 2

    def planned(self, nodes: Sequence[str]) -> None:
        if self._plans and set(nodes) == set(self._plans[-1]):
            self._plans.pop()
        self._plans.append(nodes)

    def reset(self) -> None:
        """No plan is known here any more."""
        self._plans.clear()
        self._accounted.clear()

    def confirmed(self) -> None:
        """All nodes have heard of the last plan."""
        del self._plans[:-1]
        self._accounted.intersection_update(*self._plans)

    def account_for(self, node: str) -> None:
        """It has said that it ends, or another agent has come in its place."""
        self._accounted.add(node)

    def silent(self, present: Container[str]) -> list[str]:
        """Who is not here, and may follow another leader."""
        nodes = dict.fromkeys(node for plan in self._plans for node in plan)
        return [node for node in nodes if node not in present and node not in self._accounted]

    def met(self, present: Container[str]) -> bool:
        away = set(self.silent(present))
        return all(len(plan) - len(away.intersection(plan)) >= self.needed(len(plan)) for plan in self._plans)
