"""Writes the run's small files from a thread of its own.

The run directory is often on a network file system. One that freezes must not freeze the agent's
loop, or a healthy agent looks dead: the loop only puts into a queue.
"""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path


class RunFiles:
    """Appends lines and replaces whole files, in order, in the background."""

    def __init__(self, on_error: Callable[[str], None]) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._on_error = on_error
        self._failed: set[Path] = set()
        self._appending: dict[Path, int] = {}
        self._thread = threading.Thread(target=self._run, name="run-files", daemon=True)
        self._thread.start()

    def append(self, path: Path, text: str) -> None:
        self._tasks.put(lambda: self._guard(path, lambda: self._append(path, text)))

    def replace(self, path: Path, text: str) -> None:
        """Puts ``text`` at ``path`` whole: a reader sees the old file or the new one."""
        self._tasks.put(lambda: self._guard(path, lambda: self._replace(path, text)))

    def run(self, path: Path, make: Callable[[], str]) -> None:
        """The same with a text that is made in the background too, when its turn has come."""
        self._tasks.put(lambda: self._guard(path, lambda: self._replace(path, make())))

    def close(self, timeout: float) -> bool:
        """Waits until all is written, at most ``timeout`` seconds; says whether it is."""
        self._tasks.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
        for descriptor in self._appending.values():
            os.close(descriptor)

    def _guard(self, path: Path, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001  the files after this one are to be written all the same
            if path in self._appending:  # torn, perhaps: looked at again when it is opened again
                os.close(self._appending.pop(path))
            if path not in self._failed:  # once a file: a full disk would repeat it for every event
                self._failed.add(path)
                why = error.strerror if isinstance(error, OSError) else repr(error)
                self._on_error(f"cannot write {path}: {why}; the job goes on without it")

    def _append(self, path: Path, text: str) -> None:
        if path not in self._appending:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._appending[path] = descriptor = os.open(path, flags, 0o600)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                text = "\n" + text  # after a line torn by a crash, so that only that one is lost
        _write_all(self._appending[path], text)

    def _replace(self, path: Path, text: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, text)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)


def _write_all(descriptor: int, text: str) -> None:
    # Half a character (a lone surrogate) comes out as its JSON escape.
    data = text.encode(errors="backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
