"""Breaks off what is being uploaded, for something that is more urgent."""

import threading


class Gate:
    def __init__(self) -> None:
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()

    def check(self) -> None:
        """Raises InterruptedError where it is closed."""
        if self._closed.is_set():
            raise InterruptedError("something else is more urgent")

    # --- as what watches a copy ---

    def expect(self, files: int, size: int) -> None:
        pass

    def moved(self, size: int) -> None:
        """Between the parts of a large file."""
        self.check()

    def finished(self, key: str) -> None:
        pass
