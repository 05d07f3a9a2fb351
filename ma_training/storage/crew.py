"""Threads that copy: some move bytes, a few watch over large files, and together they hold little memory."""

import ctypes
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

WATCHERS = 4  # large files at a time
MOST_BYTES = 48 << 20  # in flight
_M_MMAP_THRESHOLD = -3  # of malloc.h


def give_back_memory() -> None:
    """For processes that only copy: large blocks go back to the system as soon as they are free.

    malloc keeps them for each thread: 300 MB where 48 are in use. It is a setting of the whole process,
    and would slow down one that computes.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 256 << 10)


class Allowance:
    """So many bytes may be held at a time; what is larger by itself goes alone."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most, self._used = most, 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._most)
            self._used += size

    def give(self, size: int) -> None:
        with self._changed:
            self._used -= size
            self._changed.notify_all()


class Crew:
    """Watchers wait for movers, and movers for nobody: so all come to an end."""

    def __init__(self, workers: int) -> None:
        self._movers = ThreadPoolExecutor(workers, "storage-mover")
        self._watchers = ThreadPoolExecutor(WATCHERS, "storage-watcher")
        self._queue = threading.BoundedSemaphore(2 * workers)  # what is planned and not yet begun
        self._allowance = Allowance()
        self._stopped = threading.Event()

    def small(self, work: Callable[[], None], size: int) -> None:
        """Has a mover do it; waits where too much is queued. ``work`` must not raise."""
        self._give(self._movers, lambda: self._within(work, size))

    def large(self, work: Callable[[], None]) -> None:
        """Has a watcher do it, which may call ``run``. ``work`` must not raise."""
        self._give(self._watchers, work)

    def _give(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        self._queue.acquire()
        pool.submit(work).add_done_callback(lambda _: self._queue.release())

    def _within(self, work: Callable[[], None], size: int) -> None:
        self._allowance.take(size)
        try:
            work()
        finally:
            self._allowance.give(size)

    def run(self, works: Sequence[Callable[[], None]], size: int) -> None:
        """Movers do them all; raises what the first to fail raised, when none runs any more."""
        futures: list[Future[None]] = []
        try:
            futures.extend(self._movers.submit(self._part, work, size) for work in works)
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
            wait(futures)
        for future in futures:
            if not future.cancelled():
                future.result()

    def _part(self, work: Callable[[], None], size: int) -> None:
        if self._stopped.is_set():
            raise InterruptedError("stopped")
        self._within(work, size)

    def stop(self) -> None:
        """What has not begun is not done."""
        self._stopped.set()

    def close(self) -> None:
        """Waits for all."""
        self._watchers.shutdown()
        self._movers.shutdown()
