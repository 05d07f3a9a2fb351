"""One direction of one connection through a faulty proxy: passes bytes on until a fault stops them.

It runs in the proxy's event loop and never waits: ``Pump.step`` passes on what may be passed on at once,
and has itself called again for the rest, by a timer or when a socket is ready.
"""

import asyncio
import enum
import math
import socket
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

CHUNK = 65536  # bytes
HELD = 1 << 20  # bytes held in one direction before its sender must wait, as for a full socket buffer
SLICE = 0.02  # seconds' worth of bytes that a throttled direction passes on at once


@dataclass(frozen=True, slots=True)
class Faults:
    """What befalls the bytes of one direction."""

    delay: float = 0.0  # seconds
    rate: float = math.inf  # bytes per second
    dropping: bool = False
    truncate_after: int | None = None  # bytes
    corrupt_at: int | None = None  # bytes


class End(enum.Enum):
    CLOSED = enum.auto()
    RESET = enum.auto()


class Link(Protocol):
    """What a pump asks of its connection."""

    @property
    def usable(self) -> bool:
        """Connected, and not closed."""

    def opposite(self, pump: "Pump") -> "Pump":
        """The pump of the other direction."""

    def one_ended(self) -> None:
        """A direction has come to its end."""

    def finish(self) -> None:
        """To be closed in order."""

    def reset(self) -> None:
        """To be closed with a RST to both ends."""


class Pump:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        source: socket.socket,
        sink: socket.socket,
        faults: Faults,
    ) -> None:
        self.ended = False  # the source's end was passed on, or swallowed
        self._loop, self._link, self._source, self._sink, self._faults = loop, link, source, sink, faults
        self._held: deque[tuple[float, bytes | End]] = deque()  # with the time of arrival
        self._size = 0  # bytes held
        self._passed = 0  # bytes
        self._truncate_at, self._corrupt_at = faults.truncate_after, faults.corrupt_at
        # TCP delivers no stream with a hole in it: after a loss, this direction stays silent.
        self._lost = False
        self._reading = self._source_ended = False
        self._next = 0.0  # when a throttled direction may go on
        self._timer: asyncio.TimerHandle | None = None

    def set_faults(self, faults: Faults, changed: Collection[str]) -> None:
        """``changed`` names the fields that were set, be it to what they were: counts begin anew."""
        self._faults = faults
        if "truncate_after" in changed:
            self._truncate_at = self._from_here(faults.truncate_after)
        if "corrupt_at" in changed:
            self._corrupt_at = self._from_here(faults.corrupt_at)
        self._next = 0.0
        self.step()

    def step(self) -> None:
        """Passes on what may be passed on now, and sees to it that the rest follows."""
        if not self._link.usable:
            return
        self._wait_no_more()
        while self._pass_one():
            pass
        if self._link.usable:
            self._read(not self._source_ended and self._size < HELD)

    def stop(self) -> None:
        self._wait_no_more()
        self._read(False)

    def source_failed(self) -> None:
        """The source turned out to be gone when something was sent to it."""
        self._receive(End.RESET)

    @property
    def _silent(self) -> bool:
        return self._lost or self._faults.dropping

    def _from_here(self, count: int | None) -> int | None:
        return None if count is None else self._passed + count

    def _wait_no_more(self) -> None:
        self._loop.remove_writer(self._sink)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self, wanted: bool) -> None:
        if wanted and not self._reading:
            self._loop.add_reader(self._source, self._readable)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._source)
        self._reading = wanted

    def _readable(self) -> None:
        try:
            self._receive(self._source.recv(CHUNK) or End.CLOSED)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._receive(End.RESET)

    def _receive(self, what: bytes | End) -> None:
        if isinstance(what, End):
            self._source_ended = True
        else:
            self._size += len(what)
        self._held.append((self._loop.time(), what))
        self.step()

    def _pass_one(self) -> bool:
        """Whether there may be more to pass on at once."""
        if not self._link.usable:
            return False
        if self._silent:
            self._swallow()
            return False
        if self._truncate_at is not None and self._passed >= self._truncate_at:
            self._link.finish()
            return False
        if not self._held:
            return False
        arrived, what = self._held[0]
        due = arrived + self._faults.delay
        if self._faults.rate < math.inf and not isinstance(what, End):
            due = max(due, self._next)
        wait = due - self._loop.time()
        if wait > 0:
            if wait < math.inf:
                self._timer = self._loop.call_later(wait, self.step)
            return False
        if isinstance(what, End):
            self._held.popleft()
            self._pass_end(what)
            return True
        return self._send(arrived, what)

    def _send(self, arrived: float, data: bytes) -> bool:
        size = len(data)
        if self._truncate_at is not None:
            size = min(size, self._truncate_at - self._passed)
        if self._faults.rate < math.inf:
            size = min(size, max(1, int(self._faults.rate * SLICE)))
        piece = bytearray(data[:size])
        if self._corrupt_at is not None and 0 <= self._corrupt_at - self._passed < size:
            piece[self._corrupt_at - self._passed] ^= 1
        try:
            sent = self._sink.send(piece)
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._sink, self.step)
            return False
        except OSError:
            self._lost = True
            # News of the sink's end travels the other way, and meets the faults of that direction.
            self._link.opposite(self).source_failed()
            return True
        self._held.popleft()
        if sent < len(data):
            self._held.appendleft((arrived, data[sent:]))
        self._size -= sent
        self._passed += sent
        self._next = max(self._next, self._loop.time()) + sent / self._faults.rate
        return True

    def _pass_end(self, end: End) -> None:
        if end is End.RESET:
            self._link.reset()
            return
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # gone already, as its own pump will find
        self.ended = True
        self._link.one_ended()

    def _swallow(self) -> None:
        if not self._held:
            return
        self._lost = True
        self._held.clear()
        self._size = 0
        if self._source_ended:
            self.ended = True
            self._link.one_ended()
