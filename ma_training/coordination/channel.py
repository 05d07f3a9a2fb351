"""A connection between an agent and its leader: sockets, deadlines and callbacks around `frames`."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .addresses import address_text, bind, dial, error_text, resolve, within
from .frames import ClientHandshake, FrameError, Opener, Refused, Sealer, Secret, ServerHandshake

HANDSHAKE_WITHIN = 5.0  # seconds, from the leader's accepting a connection
CLOSING_WITHIN = 5.0  # seconds, for the other side to get the last words
MAX_UNSENT = 1 << 20  # bytes that wait for a slow reader
READ_SIZE = 64 * 1024  # bytes
BACKLOG = 4096  # all agents of a job connect at once; the kernel may have a lower limit, somaxconn

_THEY_CLOSED = "the other side closed"


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom a channel tells, in the event loop. For each ``on_open`` there is one ``on_closed``, with the
    reason in plain words. What an ``on_message`` raises closes the channel."""

    on_open: Callable[["Channel"], None]
    on_message: Callable[["Channel", dict[str, Any]], None]
    on_closed: Callable[["Channel", str], None]


@dataclass(slots=True)
class _Entry:
    """What a channel needs until its handshake is over, and not after."""

    handshake: ClientHandshake | ServerHandshake
    within: float  # seconds
    on_over: Callable[["Channel", Exception | None], None]  # once; None: the channel is open


class _NotConnected(asyncio.Transport):
    """A channel's before the event loop has given it one."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, _data: object) -> None: ...
    def close(self) -> None: ...


_NOT_CONNECTED = _NotConnected()


class _ReadBuffer(threading.local):
    """One for all channels of a thread. An asyncio.Protocol has 256 KiB allocated for each read, which
    costs more than the read."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_SIZE))


_READ_BUFFER = _ReadBuffer()


class Channel(asyncio.BufferedProtocol):
    """One connection, made by `listen` or `connect`. There may be 10,000 in a process."""

    __slots__ = ("_callbacks", "_entry", "_opener", "_reason", "_sealer", "_timer", "_transport", "peer")

    def __init__(self, callbacks: Callbacks, entry: _Entry) -> None:
        self._callbacks = callbacks
        self._entry: _Entry | None = entry
        self._sealer: Sealer | None = None  # None: nothing can be sent, yet or any more
        self._opener: Opener | None = None  # None: not opened, or on_closed has been called
        self._timer: asyncio.TimerHandle | None = None  # of the handshake, later of closing
        self._transport: asyncio.Transport = _NOT_CONNECTED
        self._reason = ""  # why it is closed, or being closed
        self.peer = "unknown"

    def send(self, message: dict[str, Any]) -> None:
        """Queues a message; does nothing on a closed channel, of which on_closed tells or has told.

        Raises ValueError for a message beyond MAX_FRAME, TypeError for what JSON has no word for.
        """
        if self._sealer is not None and not self._transport.is_closing():
            self._transport.write(self._sealer.seal(message))

    def send_payload(self, payload: bytes) -> None:
        """A message that `frames.encode` has encoded already, for many."""
        if self._sealer is not None and not self._transport.is_closing():
            self._transport.write(self._sealer.seal_payload(payload))

    def close(self, reason: str = "") -> None:
        """Closes when what was sent has arrived, or after CLOSING_WITHIN. No message comes any more;
        on_closed comes later, with ``reason``, unless the channel had another one to close before."""
        reason = reason or "closed on this side"
        if self._entry is not None:
            self._turn_away(ConnectionAbortedError(reason))
        elif not self._reason:
            self._reason = reason
            self._sealer = None
            # To close while something unread is coming in would be a reset, which may overtake what was
            # sent. The other side closes when it finds the end; until then its messages are dropped.
            try:
                self._transport.write_eof()
            except OSError:  # reset, and not noticed yet
                self._transport.abort()
            self._abort_later()

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        entry = self._entry
        if entry is None:  # closed in the same moment
            transport.abort()
            return
        self._transport = transport  # asyncio has set TCP_NODELAY
        self.peer = address_text(transport.get_extra_info("peername"))
        # Beyond it the transport calls pause_writing.
        transport.set_write_buffer_limits(high=MAX_UNSENT)
        self._timer = asyncio.get_running_loop().call_later(entry.within, self._expire)
        transport.write(entry.handshake.greeting())

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _READ_BUFFER.view

    def buffer_updated(self, size: int) -> None:
        data = bytes(_READ_BUFFER.view[:size])
        if self._entry is not None:
            data = self._enter(self._entry, data)
        if not data or self._opener is None or self._reason:
            return
        damage = ""
        try:
            messages = self._opener.feed(data)
        except FrameError as error:
            messages, damage = error.messages, f"frame damaged: {error}"
        for message in messages:
            self._callbacks.on_message(self, message)
            if self._reason:  # closed by what was called
                return
        if damage:
            self._end(damage)

    def eof_received(self) -> None:
        if self._entry is not None:
            self._turn_away(ConnectionAbortedError(f"{_THEY_CLOSED} during the handshake"))
        elif self._opener is not None and self._opener.midway:
            self._end(f"{_THEY_CLOSED} in the middle of a frame")
        else:
            self._end(_THEY_CLOSED)

    def pause_writing(self) -> None:
        if not self._reason:
            self._reason = f"the other side reads too slowly: more than {MAX_UNSENT} bytes wait for it"
        self._sealer = None
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._entry is not None:
            self._turn_away(error or ConnectionAbortedError(f"{_THEY_CLOSED} during the handshake"))
        elif self._opener is not None:
            self._opener = self._sealer = None
            self._reason = self._reason or (error_text(error) if error else _THEY_CLOSED)
            self._callbacks.on_closed(self, self._reason)
        self._stop_timer()

    def _enter(self, entry: _Entry, data: bytes) -> bytes:
        """One step of the handshake; returns what came after it."""
        try:
            self._transport.write(entry.handshake.feed(data))
        except Refused as error:
            self._turn_away(error)
            return b""
        if entry.handshake.session is None:
            return b""
        self._entry = None
        self._stop_timer()
        self._sealer, self._opener = entry.handshake.session
        entry.on_over(self, None)
        self._callbacks.on_open(self)
        return entry.handshake.rest

    def _expire(self) -> None:
        self._turn_away(TimeoutError("the other side has not finished its handshake in time"))

    def _turn_away(self, error: Exception) -> None:
        entry, self._entry = self._entry, None
        assert entry is not None
        if isinstance(error, Refused) and not error.theirs:
            self._transport.write(error.record())
        self._end(error.text if isinstance(error, Refused) else error_text(error))
        entry.on_over(self, error)

    def _end(self, reason: str) -> None:
        """Closes, and waits for nothing but that a slow reader gets what is queued."""
        self._reason = self._reason or reason
        self._sealer = None
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._abort_later()
        else:
            self._stop_timer()

    def _abort_later(self) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(CLOSING_WITHIN, self._transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Listener:
    """Where agents connect to; made by `listen`."""

    def __init__(
        self, secret: Secret, callbacks: Callbacks, on_refused: Callable[[str, str], None], within: float
    ) -> None:
        self._secret = secret
        self._callbacks = callbacks
        self._on_refused = on_refused
        self._within = within
        self._servers: list[asyncio.Server] = []
        self._entering: set[Channel] = set()
        self._closed = False
        self.port = 0

    def close(self) -> None:
        """Lets nobody in any more, those in their handshake included; open channels stay open."""
        self._closed = True
        for server in self._servers:
            server.close()
        for channel in list(self._entering):
            channel.close()

    async def _start(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        self.port = sockets[0].getsockname()[1]
        for each in sockets:
            self._servers.append(await loop.create_server(self._make_channel, sock=each, backlog=BACKLOG))

    def _make_channel(self) -> Channel:
        channel = Channel(
            self._callbacks, _Entry(ServerHandshake(self._secret), self._within, self._handshake_over)
        )
        self._entering.add(channel)
        return channel

    def _handshake_over(self, channel: Channel, error: Exception | None) -> None:
        self._entering.discard(channel)
        if error is not None and not self._closed:
            self._on_refused(channel.peer, channel._reason)


async def listen(
    host: str,
    port: int,
    key: bytes,
    job: str,
    callbacks: Callbacks,
    on_refused: Callable[[str, str], None],
    *,
    handshake_within: float = HANDSHAKE_WITHIN,
) -> Listener:
    """Lets agents of ``job`` in that have the ``key`` (16 bytes at least).

    ``host`` is a name, an IPv4 or IPv6 address, or "" for all of this machine's; ``port`` 0 is any free
    one, the same for all addresses. ``on_refused`` gets the peer, and in plain words why it is not let
    in; whoever only connects and goes away is told of too. Raises OSError where it cannot listen.
    """
    secret = Secret(key, job)
    sockets = bind(await resolve(host, port, socket.AI_PASSIVE), port)
    listener = Listener(secret, callbacks, on_refused, handshake_within)
    try:
        await listener._start(sockets)
    except BaseException:
        listener.close()
        for each in sockets:
            each.close()
        raise
    return listener


async def connect(
    host: str, port: int, key: bytes, job: str, callbacks: Callbacks, timeout: float
) -> Channel:
    """A channel to the leader. Its ``on_open``, and even messages, may come before this returns.

    ``timeout``, in seconds, is for all of it: the name, the connection, the handshake. Raises OSError for
    the network, Refused, and TimeoutError where there is no answer.
    """
    secret = Secret(key, job)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    connected = await dial(await within(timeout, resolve(host, port)), deadline)
    over: asyncio.Future[Exception | None] = loop.create_future()

    def on_over(_channel: Channel, error: Exception | None) -> None:
        if not over.done():  # cancelled
            over.set_result(error)

    # The leader may be slow, with thousands at its door: only the caller's own deadline counts.
    channel = Channel(callbacks, _Entry(ClientHandshake(secret), deadline - loop.time(), on_over))
    await loop.create_connection(lambda: channel, sock=connected)  # when cancelled it closes the socket
    try:
        error = await over
    except asyncio.CancelledError:
        channel.close("given up")
        raise
    if error is not None:
        raise error
    return channel
