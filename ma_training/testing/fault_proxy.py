"""A TCP proxy that misbehaves on command, to be put between two ends of a connection in a test."""

import asyncio
import dataclasses
import math
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TypeVar

from .connection import Connection
from .pump import Faults

Direction = Literal["both", "to_server", "to_client"]
Result = TypeVar("Result")


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards each connection to ``(host, port)``.

    The faults can be switched while it runs, from any thread. They add up, hold for present and future
    connections, and are in effect when the method returns: bytes that an end sent before the call meet
    the faults of before. ``direction`` chooses what clients send ("to_server"), what the server sends
    ("to_client"), or "both". What one end may learn of the other's end or reset is subject to the same
    faults as its bytes. Positions count the bytes that a connection passes on in one direction from the
    call on; from its beginning, for connections that come later.

    The proxy accepts before it knows its target; where that cannot be reached, the client gets a reset.
    The constructor raises OSError where ``host`` is not known. The methods raise ValueError for a
    direction or number that makes no sense, and RuntimeError after ``close``.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Bound, but never listening: keeps the port ours while connections are refused.
        self._port = _bound(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._port.getsockname()
        self._faults = {"to_server": Faults(), "to_client": Faults()}
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._listen()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many connections there are now, half-open ones included; 0 after ``close``."""
        return 0 if self._loop.is_closed() else self._do(lambda: len(self._connections))

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Passes on each byte, and the end, so much later. Order is kept.

        ``math.inf`` holds all until another delay is set: a partition that heals.
        """
        self._change(direction, delay=_checked(seconds >= 0, seconds))

    def throttle(self, bytes_per_second: float, direction: Direction = "both") -> None:
        """Passes on at most so much of each connection; its sender is slowed down when buffers are full."""
        self._change(direction, rate=_checked(bytes_per_second > 0, bytes_per_second))

    def drop(self, direction: Direction = "both") -> None:
        """Swallows all bytes, ends and resets: each end believes that the other is still there.

        A connection that lost something this way stays silent in that direction after ``restore``.
        """
        self._change(direction, dropping=True)

    def truncate(self, after_bytes: int, direction: Direction = "both") -> None:
        """Passes on so many more bytes, then closes the connection: both ends see its orderly end."""
        self._change(direction, truncate_after=_checked(after_bytes >= 0, after_bytes))

    def corrupt(self, at_byte: int, direction: Direction = "both") -> None:
        """Flips the lowest bit of one byte of each connection; 0 is the next byte."""
        self._change(direction, corrupt_at=_checked(at_byte >= 0, at_byte))

    def reset(self) -> None:
        """Ends all present connections with a RST to both ends. Future ones are not affected."""

        def change() -> None:
            for connection in list(self._connections):
                connection.reset()

        self._do(change)

    def refuse(self) -> None:
        """Stops listening: who connects gets ECONNREFUSED. Present connections go on."""
        self._do(self._stop_listening)

    def restore(self) -> None:
        """Ends all faults, and listens again at the same address. Bytes that were held go on at once."""
        self._change("both", **dataclasses.asdict(Faults()))
        self._do(self._listen)

    def close(self) -> None:
        """Closes all connections and ends the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._port.close()

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(self, direction: Direction, **values: Any) -> None:
        if direction not in ("both", *self._faults):
            raise ValueError(f"direction {direction!r} is not one of 'both', 'to_server', 'to_client'")

        def change() -> None:
            for way in self._faults if direction == "both" else [direction]:
                self._faults[way] = dataclasses.replace(self._faults[way], **values)
                for connection in list(self._connections):
                    connection.pumps[way].set_faults(self._faults[way], values)

        self._do(change)

    def _do(self, action: Callable[[], Result]) -> Result:
        """Has the loop do it, and waits until it is done."""
        if self._loop.is_closed():
            raise RuntimeError("the proxy is closed")

        async def act() -> Result:
            # One round of the loop looks which sockets are ready, and the next reads them: what was sent
            # before this call is read before the action.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.address)
            self._listener.listen()
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # it left
        family, _, _, _, address = self._target
        server = socket.socket(family, socket.SOCK_STREAM)
        connection = Connection(self._loop, client, server, self._faults, self._connections.discard)
        self._connections.add(connection)
        connection.open(address)

    def _end(self) -> None:
        self._stop_listening()
        for connection in list(self._connections):
            connection.close()


def _bound(address: tuple[str, int]) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    return bound


def _checked(fits: bool, number: float) -> float:
    if not fits or math.isnan(number):
        raise ValueError(f"{number!r} makes no sense here")
    return number
