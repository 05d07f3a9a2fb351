"""A disk that fills up while a job runs is said before it is full."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ma_training.job import format_size

from .room import FULL, Room, room_at

AGAIN = 0.05  # below FULL by this share, it may be said anew


class Filling:
    """``directories`` of one file system are one: it is said of the first."""

    def __init__(self, directories: Iterable[Path], look: Callable[[Path], Room] = room_at) -> None:
        self._directories, self._look = list(directories), look
        self._said: set[Path] = set()

    def look(self) -> list[str]:
        """What is to be said now."""
        words, seen = [], set()
        for directory in self._directories:
            try:
                room = self._look(directory)
            except OSError:  # uploads say what is wrong with it
                continue
            used = room.used_with(0)
            if used < FULL - AGAIN:
                self._said.discard(directory)
            elif used >= FULL and directory not in self._said and room not in seen:
                self._said.add(directory)
                free = format_size(room.bytes)
                words.append(
                    f"the disk of {directory} is {used:.0%} full, {free} are free: at {FULL:.0%} Kubernetes "
                    "ends whole pods\n    hint: free some, or name a directory on a larger disk (/cache)"
                )
            seen.add(room)
        return words
