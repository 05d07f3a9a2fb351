"""What a node's segments hold: the steps of each rank, and the newest that all of them have."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from types import TracebackType

from ma_training.snapshot.errors import SnapshotError
from ma_training.snapshot.segment import Segment
from ma_training.snapshot.slot import Stored

_SEGMENT = re.compile(r"rank-(0|[1-9][0-9]{0,6})\.snap")
TRIES = 20  # to pin what a writer may be about to overwrite
SHARED = "shared/"  # prefix of leaves that all ranks have alike


def segments_in(directory: Path) -> dict[int, Path]:
    """By rank. Links are passed over."""
    try:
        with os.scandir(directory) as entries:
            found = {_SEGMENT.fullmatch(e.name): e.path for e in entries if e.is_file(follow_symlinks=False)}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {int(match[1]): Path(path) for match, path in found.items() if match}


def newest_common(steps: Mapping[int, Collection[int]]) -> int | None:
    """The newest step that every rank has; None where there is none.

    >>> newest_common({0: [11, 12], 1: [10, 11]})
    11
    """
    sets = [set(found) for found in steps.values()]
    return max(set.intersection(*sets), default=None) if sets else None


class Stock:
    """Reads the segments of ``ranks``, or of all that have one; ``faults`` says which cannot be read."""

    def __init__(self, directories: Iterable[Path], ranks: Iterable[int] | None = None) -> None:
        """``directories``: in memory first, then on disk, for what memory had no room for."""
        self._segments: dict[int, Segment] = {}
        self.faults: list[str] = []
        wanted = None if ranks is None else set(ranks)
        for directory in directories:
            for rank, path in segments_in(directory).items():
                if rank not in self._segments and (wanted is None or rank in wanted):
                    self._open(rank, path)
        self.refresh()

    def _open(self, rank: int, path: Path) -> None:
        try:
            self._segments[rank] = Segment.open(path)
        except (SnapshotError, OSError) as error:
            self.faults.append(str(error))

    def refresh(self) -> None:
        """Looks again: their writers may live."""
        self._states = {rank: segment.states() for rank, segment in self._segments.items()}

    def __enter__(self) -> "Stock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for segment in self._segments.values():
            segment.close()

    @property
    def ranks(self) -> list[int]:
        """Those that have a complete state."""
        return [rank for rank, states in self._states.items() if states]

    def newest(self) -> int | None:
        """The newest step of all ranks that have any, whose replicated part one of them has."""
        steps = {rank: [state.step for state in states] for rank, states in self._states.items() if states}
        with_shared = [
            state.step for states in self._states.values() for state in states if has_shared(state)
        ]
        if steps:
            steps[-1] = with_shared
        return newest_common(steps)

    def pin_newest(self) -> tuple[int, list[Stored]] | None:
        """Keeps writers off the newest step of all until each state is unpinned; None: there is none."""
        for _ in range(TRIES):
            step = self.newest()
            if step is None:
                return None
            states = list(self.at(step).values())
            pinned = list(takewhile(Stored.pin, states))
            if len(pinned) == len(states):
                return step, states
            for state in pinned:
                state.unpin()
            self.refresh()
        return None

    def at(self, step: int) -> dict[int, Stored]:
        """Each rank's state of that step."""
        found: dict[int, Stored] = {}
        for rank, states in self._states.items():
            for state in states:
                if state.step == step:
                    found.setdefault(rank, state)
        return found


def has_shared(state: Stored) -> bool:
    return any(leaf.name.startswith(SHARED) for leaf in state.schema.leaves) or bool(state.meta.get("shared"))
