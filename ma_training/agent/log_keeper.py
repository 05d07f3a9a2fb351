"""Looks at the sizes of an attempt's logs, in a thread of its own, and rotates what has grown too large."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from .log_rotation import rotate

LOOK_EVERY = 2.0  # seconds


class LogKeeper:
    def __init__(self, limit: int, on_rotated: Callable[[Path, int, str], None]) -> None:
        """``on_rotated``: a log over ``limit`` bytes, what was cut off its beginning, and what went wrong."""
        self._limit, self._on_rotated = limit, on_rotated
        self._logs: frozenset[Path] = frozenset()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-keeper", daemon=True)
        self._thread.start()

    def watch(self, logs: Iterable[Path]) -> None:
        """These from now on, instead of the last attempt's."""
        self._logs = frozenset(logs)

    def close(self) -> None:
        """Does not wait: the file system may hang, and what is not rotated now need not be."""
        self._closing.set()

    def _run(self) -> None:
        given_up: set[Path] = set()
        while not self._closing.wait(LOOK_EVERY):
            for log in self._logs - given_up:
                try:
                    taken = rotate(log, self._limit) if log.stat().st_size >= self._limit else 0
                except (FileNotFoundError, NotADirectoryError):
                    continue  # its worker has not made it yet
                except OSError as error:
                    given_up.add(log)
                    self._on_rotated(log, 0, error.strerror or str(error))
                else:
                    if taken:
                        self._on_rotated(log, taken, "")
