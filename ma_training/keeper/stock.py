"""What a node's segments hold: the steps of each rank, and the newest that all of them have."""

from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from types import TracebackType

from ma_training.snapshot.directory import JobDirectory
from ma_training.snapshot.errors import SnapshotError
from ma_training.snapshot.segment import Segment
from ma_training.snapshot.slot import Stored

TRIES = 20  # to pin what a writer may be about to overwrite
SHARED = "shared/"  # prefix of leaves that all ranks have alike


def newest_common(steps: Mapping[int, Collection[int]]) -> int | None:
    """The newest step that every rank has; None where there is none.

    >>> newest_common({0: [11, 12], 1: [10, 11]})
    11
    """
    sets = [set(found) for found in steps.values()]
    return max(set.intersection(*sets), default=None) if sets else None


class Stock:
    """Reads the segments of ``ranks``, or of all that have one; ``faults`` says which cannot be read."""

    def __init__(self, directory: Path, ranks: Iterable[int] | None = None) -> None:
        files = JobDirectory(directory.parent, directory.name)
        self._segments: dict[int, Segment] = {}
        self.faults: list[str] = []
        wanted = None if ranks is None else set(ranks)
        for rank in files.ranks():
            if wanted is not None and rank not in wanted:
                continue
            try:
                self._segments[rank] = Segment.open(files.segment(rank))
            except (SnapshotError, OSError) as error:
                self.faults.append(str(error))
        self.refresh()

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
