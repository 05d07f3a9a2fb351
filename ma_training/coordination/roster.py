"""Who is there: the agents that a leader knows, and whether one more may come in. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from .messages import Hello, Terms

TAKEN_RANK = 5.0  # seconds that a newcomer waits for a node rank whose holder may just have died


@dataclass(slots=True)
class Member:
    """An agent, by the number of its connection."""

    number: int
    hello: Hello
    heard: float  # when it last said something
    joined: float
    rank: int | None = None  # its node rank in the present attempt
    told: bool = False  # that it is excluded, or a spare
    away_by: float | None = None  # its connection broke; by then it must be back
    why_away: str = ""

    @property
    def host(self) -> str:
        """For people: its node rank where it has one, and its machine's name."""
        rank, name = self.hello.node_rank if self.rank is None else self.rank, self.hello.host
        return name if rank is None else f"node{rank} ({name})"

    @property
    def machine(self) -> str:
        """What a failure is blamed on; names alone may be the same everywhere, in containers say."""
        return f"{self.hello.host} {self.hello.address}"

    @property
    def node(self) -> str:
        return self.hello.node


class Roster:
    def __init__(self, terms: Terms | None) -> None:
        self.terms = terms  # None: the first agent's
        self.members: dict[int, Member] = {}
        self.by_node: dict[str, Member] = {}
        self._by_wanted: dict[int, Member] = {}  # node rank that its user has given it
        self.waiting: dict[int, tuple[Hello, float]] = {}  # since when, for a node rank that seems taken

    @property
    def size(self) -> str:
        assert self.terms is not None
        least, most = self.terms.min_nodes, self.terms.max_nodes
        return str(most) if least == most else f"{least}:{most}"

    @property
    def room(self) -> int:
        """Agents that the job can have."""
        return self.terms.max_nodes + self.terms.spare_nodes if self.terms else 1

    def add(self, member: Member) -> Member:
        self.members[member.number] = self.by_node[member.node] = member
        if member.hello.node_rank is not None:
            self._by_wanted[member.hello.node_rank] = member
        return member

    def remove(self, member: Member) -> None:
        del self.members[member.number], self.by_node[member.node]
        if member.hello.node_rank is not None:
            del self._by_wanted[member.hello.node_rank]

    def clear(self) -> None:
        for each in (self.members, self.by_node, self._by_wanted, self.waiting):
            each.clear()

    def by_rank(self, rank: int) -> Member | None:
        return next((member for member in self.members.values() if member.rank == rank), None)

    @property
    def inside(self) -> list[Member]:
        """Those of the present attempt."""
        return [member for member in self.members.values() if member.rank is not None]

    def holder(self, node_rank: int | None) -> Member | None:
        """Who was given this node rank by its user."""
        return None if node_rank is None else self._by_wanted.get(node_rank)

    def objection(self, hello: Hello, excluded: int) -> str:
        """Why ``hello`` cannot take part, '' where it can. ``excluded``: members that are left out."""
        if self.terms is None:
            self.terms = hello.terms
        if difference := hello.terms.difference(self.terms):
            return f"{hello.host} was started with {difference}"
        if hello.node_rank is not None and hello.node_rank >= self.room:
            return f"node rank {hello.node_rank} of {hello.host}: the job has {self.size} nodes"
        if len(self.members) - excluded >= self.room:
            return f"the job has its {self.size} nodes and {self.terms.spare_nodes} spares"
        return ""

    def odd_versions(self, member: Member) -> list[str]:
        """Where a node's software is another than the first's: the launcher's and the framework's."""
        first = next(iter(self.members.values()))
        found = []
        for name, version in member.hello.versions.items():
            other = first.hello.versions.get(name, version)
            if other != version:
                found.append(f"{member.host} joined with {name} {version}, {first.host} has {other}")
        return found

    def missing(self, candidates: Sequence[Member], gone: Sequence[str]) -> str:
        """By name where names are known: by node rank, or ``gone``, hosts of the last attempt."""
        assert self.terms is not None
        wanted, each = self.terms.max_nodes, self.terms.nproc
        ranks = {member.hello.node_rank for member in candidates}
        if candidates and None not in ranks and self.terms.min_nodes == wanted:
            absent = [rank for rank in range(wanted) if rank not in ranks]
            names = [_worker_ranks(rank, each) for rank in absent[:8]]
            more = f" and {len(absent) - 8} more" if len(absent) > 8 else ""
            return f"{', '.join(names)}{more} {_have(each * len(absent))} not joined"
        hosts = f" (gone: {', '.join(gone[:8])})" if gone else ""
        missing = self.terms.min_nodes - len(candidates)
        if missing <= 0:
            return f"more than half of the nodes have gone silent at once{hosts}, and not come back"
        return f"{missing} of at least {self.terms.min_nodes} nodes {_have(missing)} not joined{hosts}"


def _have(count: int) -> str:
    return "have" if count > 1 else "has"


def _worker_ranks(node: int, each: int) -> str:
    """``ranks 4, 5 (node2)``."""
    ranks = [str(rank) for rank in range(node * each, (node + 1) * each)]
    shown = ", ".join(ranks) if each <= 4 else f"{ranks[0]} to {ranks[-1]}"
    return f"rank{'s' if each > 1 else ''} {shown} (node{node})"
