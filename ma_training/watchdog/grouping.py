"""Ranks whose stacks say the same, together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from .samples import Sample
from .waiting import is_users


@dataclass(frozen=True, slots=True)
class Group:
    """``samples``: of equal stacks, by rank; the first stands for all."""

    samples: tuple[Sample, ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        return tuple(sample.rank for sample in self.samples)


def group(samples: Sequence[Sample]) -> tuple[Group, ...]:
    """The largest first."""
    groups: dict[object, list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: sample.rank):
        groups.setdefault(_key(sample), []).append(sample)
    found = [Group(tuple(members)) for members in groups.values()]
    return tuple(sorted(found, key=lambda group: (-len(group.samples), group.ranks)))


def _key(sample: Sample) -> object:
    # In a library, two lines of one loop say the same; in the user's code they may not.
    frames = tuple(
        (frame.function, frame.file, frame.line if is_users(frame) else 0) for frame in sample.main.frames
    )
    return frames, sample.stopped, sample.problem


def spell_ranks(ranks: Sequence[int], most: int = 8) -> str:
    """ "rank 2", "ranks 0, 1, 3", "ranks 0-15, 17 and 40 more"."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    words = []
    for first, last in runs:
        short = last - first < 2
        words += [str(rank) for rank in range(first, last + 1)] if short else [f"{first}-{last}"]
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more such"]
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(words)}"
