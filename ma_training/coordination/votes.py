"""Who has voted for a leader, and whether that is enough. Pure."""

from .attempt import Plan
from .quorum import Quorum
from .roster import Member, Roster


class Votes:
    def __init__(self, roster: Roster, quorum: Quorum) -> None:
        self._roster, self._quorum = roster, quorum
        self._numbers: set[int] = set()  # connections

    def clear(self) -> None:
        self._numbers.clear()

    def add(self, member: Member) -> None:
        self._numbers.add(member.number)

    def remove(self, member: Member) -> None:
        self._numbers.discard(member.number)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def unanimous(self) -> bool:
        """All agents that the job can have want it: there is no one to want another."""
        return len(self._numbers) >= self._roster.room

    def enough(self, plan: Plan) -> bool:
        """No other leader can have as many: of the plan's nodes, and of the last that all have heard of."""
        voters = [self._roster.members[number] for number in self._numbers]
        if self.unanimous:
            return True
        if not plan.hearsay:
            return self._quorum.met({voter.node for voter in voters})
        votes = sum(counts(plan, voter) for voter in voters)
        if plan.settled or plan.same or not plan.base_nodes:
            return votes >= self._quorum.needed(len(plan.nodes))
        base = sum(was_in_base(plan, voter) for voter in voters)
        return votes >= self._quorum.needed(len(plan.nodes)) and base >= self._quorum.needed(plan.base_nodes)

    def settle(self, plan: Plan) -> None:
        """Elected, this leader goes on with ``plan``: whose majority does the next attempt need?"""
        if self.unanimous:
            self._quorum.settled(plan.attempt, list(self._roster.by_node))
        elif plan.settled or plan.same or not plan.base_nodes:
            self._quorum.settled(plan.attempt, plan.nodes)
        else:
            base = [member.node for member in self._roster.members.values() if was_in_base(plan, member)]
            unknown = (f"unknown node of {plan.base}/{index}" for index in range(plan.base_nodes))
            self._quorum.settled(plan.base, [*base, *unknown][: plan.base_nodes])
            self._quorum.planned(plan.nodes)


def counts(plan: Plan, member: Member) -> bool:
    """Its vote is one of the plan's nodes': its own, or that of the dead one whose rank it takes."""
    if member.rank is not None:
        return True
    last, wanted = member.hello.last, member.hello.node_rank
    if last is not None:  # it has not heard of the plan
        return last.node_rank >= 0 and plan.same and last.attempt == plan.base
    return plan.given and wanted is not None and wanted < len(plan.nodes) and not plan.nodes[wanted]


def was_in_base(plan: Plan, member: Member) -> bool:
    last = member.hello.last
    if last is None:
        return False
    if last.attempt == plan.base:
        return last.node_rank >= 0
    return last.base == plan.base and last.in_base
