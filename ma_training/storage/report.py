"""What a copy has done, counted while it goes on by many threads."""

import threading
from dataclasses import dataclass, field

from .errors import StorageError

MOST_NAMED = 20


@dataclass
class Report:
    """``failed`` and ``refused`` name the first 20 each, with why; ``failures`` counts them all."""

    files: int = 0  # copied
    kept: int = 0  # were there already, the same
    bytes: int = 0  # written, in files that became whole or not
    deleted: int = 0
    failures: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # links, devices: left out
    stopped: StorageError | None = None  # what ended it before its time
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)

    def fail(self, key: str, error: StorageError) -> None:
        with self._lock:
            self.failures += 1
            if len(self.failed) < MOST_NAMED:
                self.failed.append((key, str(error)))

    def skip(self, key: str, why: str) -> None:
        with self._lock:
            if len(self.skipped) < MOST_NAMED:
                self.skipped.append((key, why))

    @property
    def complete(self) -> bool:
        """All that was to be copied is there."""
        return not self.failures and self.stopped is None
