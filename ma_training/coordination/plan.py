"""Which nodes make the next attempt, and in which order: a pure function."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    node: str
    wanted: int | None = None  # the node rank that its user has given it
    before: int | None = None  # the one that it had in the last attempt


def assign(candidates: Sequence[Candidate], most: int) -> list[str]:
    """Nodes by node rank, at most ``most``; ``candidates`` come in the order in which they joined.

    A rank that a user has given is kept while it is below the number of nodes, then the rank of the
    last attempt; what is free goes to the others in order. Who wanted 0 has 0, whatever the size.
    """
    count = min(len(candidates), most)
    slots: list[str | None] = [None] * count
    placed = set()
    for claim in (_wanted, _before):
        for candidate in candidates:
            rank, node = claim(candidate), candidate.node
            if rank is not None and rank < count and slots[rank] is None and node not in placed:
                slots[rank] = node
                placed.add(node)
    waiting = iter([each.node for each in _in_order(candidates) if each.node not in placed])
    return [next(waiting) if node is None else node for node in slots]


def _wanted(candidate: Candidate) -> int | None:
    return candidate.wanted


def _before(candidate: Candidate) -> int | None:
    return candidate.before if candidate.wanted is None else None


def _in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of the last attempt before spares."""
    return sorted(candidates, key=lambda each: (each.before is None, each.wanted is None, each.wanted or 0))


def digest(attempt: int, nodes: Sequence[str], versions: Mapping[str, str] | None = None) -> str:
    """The same for all agents of one attempt: who does not have it is in another."""
    text = "\n".join([str(attempt), *nodes, *sorted(f"{k}={v}" for k, v in (versions or {}).items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
