"""Which state all ranks go on from. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = 256


@dataclass(frozen=True, slots=True)
class Holding:
    """What one rank can give: keys of states with the part that all have alike, and with its own part."""

    shared: Sequence[int]
    private: Sequence[int]


def key_of(step: int, mark: int) -> int:
    """States in order. ``mark`` counts those that were kept after the commit of that step.

    >>> key_of(7, 0) < key_of(7, 1) < key_of(8, 0), step_of(key_of(7, 1))
    (True, 7)
    """
    return step * _MARKS + min(mark, _MARKS - 1)


def step_of(key: int) -> int:
    return key // _MARKS


def newest_common(ranks: Sequence[Holding]) -> int | None:
    """The newest state whose shared part any rank has, and whose private part all do that have any;
    the newest shared one where there is no such. None where there is none at all.

    A rank without private parts has lost its node: nothing is gained by going further back for it.
    """
    candidates = sorted({key for rank in ranks for key in rank.shared}, reverse=True)
    for key in candidates:
        if all(key in rank.private for rank in ranks if rank.private):
            return key
    return candidates[0] if candidates else None
