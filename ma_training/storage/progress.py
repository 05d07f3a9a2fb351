"""Shows how a copy goes: a bar on a terminal, a line every 30 s elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Any, TextIO

from ma_training.job import format_duration, format_size

EVERY = 30.0  # seconds
REFRESH = 0.2


class Progress:
    """A context manager; it writes to ``stream`` from a thread of its own."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what, self._stream = what, stream or sys.stderr
        self._files = self._size = self._done = self._moved = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._bar = _bar(what) if self._stream.isatty() else None
        self._thread = threading.Thread(target=self._show, name="storage-progress", daemon=True)

    def expect(self, files: int, size: int) -> None:
        with self._lock:
            self._files, self._size = files, size

    def moved(self, size: int) -> None:
        with self._lock:
            self._moved += size

    def finished(self, key: str) -> None:
        with self._lock:
            self._done += 1

    def line(self) -> str:
        """Of now, for a log."""
        with self._lock:
            done, files, moved, size = self._done, self._files, self._moved, self._size
        passed = max(time.monotonic() - self._started, 1e-9)
        of_files = f" of {files}" if files else ""
        of_bytes = f" of {format_size(size)}" if size else ""
        rate = format_size(int(moved / passed))
        took = format_duration(round(passed))
        return f"{self._what}: {done}{of_files} files, {format_size(moved)}{of_bytes}, {rate}/s, {took}"

    def _show(self) -> None:
        while not self._ended.wait(REFRESH if self._stream.isatty() else EVERY):
            if self._bar:
                self._bar.update(self._bar.task_ids[0], completed=self._moved, total=self._size or None)
            elif self._stream.isatty():
                self._write("\r\x1b[K" + self.line())
            else:
                self._write(self.line() + "\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._ended.set()  # the terminal is gone; the copy goes on

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self._moved, total=self._size or None)
            self._bar.stop()
        elif self._stream.isatty():
            self._write("\r\x1b[K")


def _bar(what: str) -> Any:
    """rich's, where it is installed."""
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ImportError:
        return None
    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress("{task.description}", *columns, console=Console(stderr=True), transient=True)
    bar.add_task(what, total=None)
    return bar
