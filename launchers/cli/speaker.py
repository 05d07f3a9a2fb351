"""What the launcher says, on stderr, from a thread of its own: a full pipe or a stopped pager is no
reason to stop watching workers."""

import os
import queue
import select
import threading


class Speaker:
    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        self.print(f"launcher: {text}\n")

    def print(self, text: str) -> None:
        """As it is."""
        self._lines.put(text.encode(errors="replace"))

    def close(self, timeout: float) -> None:
        """Waits until all is said, at most ``timeout`` seconds."""
        self._lines.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                _write_all(line)
            except OSError:
                return  # the terminal is gone: it is in the events too


def _write_all(data: bytes) -> None:
    while data:
        try:
            data = data[os.write(2, data) :]
        except BlockingIOError:
            select.select([], [2], [])
