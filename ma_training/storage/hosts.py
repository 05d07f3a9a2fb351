"""What is known of each host that this process talks to: its retry budget, and how far its clock is off."""

import os
import random
import threading
import time
from email.utils import parsedate_to_datetime

from .retry_budget import TokenBucket, pause


class Host:
    def __init__(self) -> None:
        self._bucket = TokenBucket(at=time.monotonic())
        self._lock = threading.Lock()
        self.clock_offset = 0.0  # seconds to add to our clock to get the host's

    def succeeded(self) -> None:
        with self._lock:
            self._bucket.succeeded()

    def wait(self, attempt: int) -> None:
        """Before try ``attempt`` + 1."""
        with self._lock:
            for_token = self._bucket.take(time.monotonic())
        time.sleep(for_token + pause(attempt, random.random()))

    def correct_clock(self, date: str, sent: float) -> bool:
        """By the ``Date`` of an answer to what was sent at ``sent``; False where that changes nothing."""
        try:
            offset = parsedate_to_datetime(date).timestamp() - sent
        except (TypeError, ValueError):
            return False
        if abs(offset - self.clock_offset) < 60:
            return False
        self.clock_offset = offset
        return True


_hosts: dict[str, Host] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    """Locks may have been held by threads that a child has not."""
    global _lock
    _lock = threading.Lock()
    _hosts.clear()


os.register_at_fork(after_in_child=_after_fork)


def host_of(name: str) -> Host:
    """The one of this process."""
    with _lock:
        return _hosts.setdefault(name, Host())
