"""One connection through a faulty proxy: the sockets of both ends, and how they are closed."""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

from .pump import CHUNK, HELD, Faults, Pump


class Connection:
    """Takes the client's socket, and connects to the server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        server: socket.socket,
        faults: Mapping[str, Faults],
        when_closed: Callable[["Connection"], None],
    ) -> None:
        self._loop, self._client, self._server = loop, client, server
        self._when_closed = when_closed
        self._connected = self._closed = False
        self.pumps = {
            "to_server": Pump(loop, self, client, server, faults["to_server"]),
            "to_client": Pump(loop, self, server, client, faults["to_client"]),
        }

    def open(self, target: Any) -> None:
        """Connects to the server. Where that fails, the client gets a RST, as far as faults let it pass."""
        for end in (self._client, self._server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = self._server.connect_ex(target)
        if error == errno.EINPROGRESS:
            self._loop.add_writer(self._server, self._opened)
        else:
            self._start(error)

    @property
    def usable(self) -> bool:
        return self._connected and not self._closed

    def opposite(self, pump: Pump) -> Pump:
        return next(other for other in self.pumps.values() if other is not pump)

    def one_ended(self) -> None:
        if all(pump.ended for pump in self.pumps.values()):
            self.close()

    def finish(self) -> None:
        for end in (self._client, self._server):
            try:
                end.shutdown(socket.SHUT_WR)
                # To close a socket with unread bytes in it would send a RST. No endless loop here: a fast
                # sender could feed it for ever.
                for _ in range(HELD // CHUNK):
                    if not end.recv(CHUNK):
                        break
            except OSError:
                pass  # nothing more to read; or gone
        self.close()

    def reset(self) -> None:
        for end in (self._client, self._server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_writer(self._server)
        for pump in self.pumps.values():
            pump.stop()
        self._client.close()
        self._server.close()
        self._when_closed(self)

    def _opened(self) -> None:
        self._loop.remove_writer(self._server)
        self._start(self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _start(self, error: int) -> None:
        self._connected = True
        if error:
            self.pumps["to_client"].source_failed()
        for pump in self.pumps.values():
            pump.step()
