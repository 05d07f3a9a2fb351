"""Says how a copy before the start of the workers goes: to those who read the launcher's words, and to
other processes that wait for the same."""

import io
from collections.abc import Callable
from types import TracebackType
from typing import TextIO, cast

from ma_training.storage import Progress
from ma_training.storage.sync import Turn


class Telling:
    """A context manager that gives the turn, and itself as what watches the copy."""

    def __init__(self, what: str, turn: Turn, say: Callable[[str], None]) -> None:
        self._turn = turn
        self._progress = Progress(what, cast(TextIO, _Lines(say)))

    def expect(self, files: int, size: int) -> None:
        self._progress.expect(files, size)

    def moved(self, size: int) -> None:
        """Raises TurnLost, which ends the copy."""
        self._progress.moved(size)
        if self._turn.is_ours:
            self._turn.tell(self._progress.line())
        self._turn.check()

    def finished(self, key: str) -> None:
        self._progress.finished(key)

    def __enter__(self) -> tuple[Turn, "Telling"]:
        self._progress.__enter__()
        return self._turn, self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)


class _Lines(io.TextIOBase):
    """What is written to it is said, line by line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._say(line)
        return len(text)

    def isatty(self) -> bool:
        return False
