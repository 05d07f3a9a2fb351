"""A small event loop: file descriptors, timers and signals, in one thread. asyncio costs 48 ms to import."""

import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from typing import Protocol


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Timer:
    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when, self.callback = when, callback

    def cancel(self) -> None:
        self.callback = _nothing


def _nothing() -> None:
    pass


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def add_reader(self, source: HasFileno | int, callback: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, callback)

    def remove_reader(self, source: HasFileno | int) -> None:
        self._selector.unregister(source)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Calls back once at ``when``, seconds of `time.monotonic`."""
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def run_until(self, done: Callable[[], bool]) -> None:
        while not done():
            self.run_once()

    def run_once(self) -> None:
        """Waits for the next thing to happen, and lets it."""
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, _ in self._selector.select(timeout):
            if key.fd in self._selector.get_map():  # an earlier callback of this round may have removed it
                key.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2].callback()

    def close(self) -> None:
        self._selector.close()


class SignalReader:
    """Turns signals into calls from the loop. One that was ignored when we started stays ignored (nohup)."""

    def __init__(self, loop: Loop, numbers: Iterable[int], callback: Callable[[int], None]) -> None:
        self._loop, self._callback = loop, callback
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = {}
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, _noted)
        loop.add_reader(self._read, self._on_readable)

    def _on_readable(self) -> None:
        for number in os.read(self._read, 256):
            if number in self._previous:
                self._callback(number)

    def close(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._loop.remove_reader(self._read)
        os.close(self._read)
        os.close(self._write)


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor carries the number; a handler must exist for it to be written."""
