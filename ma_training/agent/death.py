"""Sees a worker die before the kernel has finished with it.

A parent hears of a child's end when its memory has been torn down: 0.8 s later for 12 GB. Two things
are true at once, though: a thread that is not the last one of its process ends at once, which a
thread's pidfd reports (Linux 6.9), and `/proc/<pid>/stat` carries PF_EXITING. So for workers with
much memory two threads are watched, not the main one, whose end is reported with its process's
(Linux 6.15); where there are not as many, or the kernel is older, the flag is polled. Small workers
are reported by their shim just as fast, and cost nothing.
"""

import os
import time
from collections.abc import Callable
from functools import partial

from .loop import Loop
from .process_status import PF_EXITING, exit_status, is_exiting, stat_fields

PIDFD_THREAD = os.O_EXCL
LARGE = 128 << 20  # bytes of RSS; 1 GB takes about 70 ms to tear down
SURVEY_EVERY = 1.0  # seconds
POLL_EVERY = 0.005
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Watched:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        self.rss = 0  # bytes, when last surveyed
        self.threads: list[int] = []  # pidfds
        self.polled = False


class DeathWatch:
    """Calls ``on_dying(rank, status, rss)`` once, when a watched worker can no longer run any code."""

    def __init__(self, loop: Loop, on_dying: Callable[[int, int, int], None]) -> None:
        self._loop, self._on_dying = loop, on_dying
        self._watched: dict[int, _Watched] = {}
        self._threads_work = True
        self._survey_timer = loop.call_at(time.monotonic() + SURVEY_EVERY, self._survey)
        self._poll_timer = loop.call_at(time.monotonic(), lambda: None)
        self._polling = False

    def watch(self, rank: int, pid: int) -> None:
        try:
            self._watched[rank] = _Watched(pid)
        except FileNotFoundError:
            pass  # it is gone already, and its shim says so

    def forget(self, rank: int) -> None:
        if (watched := self._watched.pop(rank, None)) is not None:
            self._drop_threads(watched)
            os.close(watched.stat)

    def close(self) -> None:
        for rank in list(self._watched):
            self.forget(rank)
        self._survey_timer.cancel()
        self._poll_timer.cancel()

    def _survey(self) -> None:
        """Once a second: which workers have grown large, and how to watch them."""
        for watched in list(self._watched.values()):
            try:
                rss = int(stat_fields(watched.stat)[21]) * _PAGE
            except (OSError, IndexError):
                continue  # gone; its shim says so
            if not rss:
                continue  # it has just given up its memory: `_poll` or a thread's end tells
            watched.rss, large = rss, rss >= LARGE
            if large and not watched.threads:
                self._watch_threads(watched)
            watched.polled = large and not watched.threads
        if not self._polling and any(watched.polled for watched in self._watched.values()):
            self._poll()
        self._survey_timer = self._loop.call_at(time.monotonic() + SURVEY_EVERY, self._survey)

    def _watch_threads(self, watched: _Watched) -> None:
        try:
            threads = sorted(map(int, os.listdir(f"/proc/{watched.pid}/task")))
            if not self._threads_work or len(threads) < 3:
                return
            for thread in threads[1:3]:  # the oldest, without the main thread
                descriptor = os.pidfd_open(thread, PIDFD_THREAD)
                watched.threads.append(descriptor)
                self._loop.add_reader(descriptor, partial(self._on_thread_ended, watched))
        except ProcessLookupError:
            self._drop_threads(watched)  # that thread has just ended: look again in a second
        except OSError:
            self._threads_work = False  # EINVAL: a kernel before 6.9
            self._drop_threads(watched)

    def _on_thread_ended(self, watched: _Watched) -> None:
        self._drop_threads(watched)
        if not self._check(watched):
            watched.polled = True  # one thread's ordinary end, or the first of a dying process's
            if not self._polling:
                self._poll()

    def _drop_threads(self, watched: _Watched) -> None:
        for descriptor in watched.threads:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        watched.threads.clear()

    def _poll(self) -> None:
        polled = [watched for watched in self._watched.values() if watched.polled]
        for watched in polled:
            self._check(watched)
        self._polling = any(watched.polled for watched in self._watched.values())
        if self._polling:
            self._poll_timer = self._loop.call_at(time.monotonic() + POLL_EVERY, self._poll)

    def _check(self, watched: _Watched) -> bool:
        try:
            fields = stat_fields(watched.stat)
            dying = bool(int(fields[6]) & PF_EXITING) and is_exiting(watched.pid)
        except (OSError, IndexError):
            return True  # reaped: its shim says so
        if dying:
            rank = next(rank for rank, other in self._watched.items() if other is watched)
            self.forget(rank)
            self._on_dying(rank, exit_status(fields), watched.rss)
        return dying
