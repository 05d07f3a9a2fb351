"""This node's part in the job's coordination: a thread with the connection to the leader, or the leader.

The agent's loop gives orders with the methods, which return at once, and takes what is decided with
`take` when `fileno` is readable.
"""

import asyncio
import contextlib
import errno
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .channel import Callbacks, Channel, connect
from .follower import (
    Begin,
    Connect,
    Disconnect,
    Follower,
    Halt,
    Hold,
    Joined,
    Lead,
    Order,
    Tell,
    Word,
)
from .frames import Refused
from .hub import Hub
from .leader import Leader
from .messages import Done, Elsewhere, End, Hello, MessageError, pack, unpack

CONNECT_WITHIN = 3.0  # seconds
POINT_EVERY = 2.0  # seconds between a successor's looks at the job's endpoint
ForAgent = Begin | Hold | Halt | Joined | Word | End


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where and how the agents of a job meet."""

    host: str  # of the leader
    port: int
    key: bytes
    job: str  # what all agents call it
    join_timeout: float  # seconds
    lead: bool  # this agent is the one that is to lead, unless someone leads there already
    bind: str  # the address to lead at; "" for all


class Node:
    def __init__(self, hello: Hello, meeting: Meeting, run_id: str) -> None:
        self._hello, self._meeting, self._run_id = hello, meeting, run_id
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._orders: deque[ForAgent] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follower: Follower | None = None
        self._channel: Channel | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._hubs: list[Hub] = []  # at the job's endpoint, and as a successor
        self._succeeding: asyncio.Task[None] | None = None
        self._over: asyncio.Event | None = None
        self._started = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="coordination", daemon=True)

    # --- for the agent's thread ---

    def start(self) -> None:
        """Raises OSError where this agent is to lead, and cannot listen."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error

    @property
    def leads(self) -> bool:
        """The job's leader is in this process, or was when the job ended."""
        return any(hub.leads for hub in self._hubs)

    def fileno(self) -> int:
        return self._read

    def take(self) -> list[ForAgent]:
        """What has been decided since."""
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
        orders: list[ForAgent] = []
        while self._orders:
            orders.append(self._orders.popleft())
            if isinstance(orders[-1], Joined):  # what follows is for who comes after it
                self._wake()
                break
        return orders

    def port_held(self, attempt: int, port: int) -> None:
        self._call(lambda follower: follower.port_held(attempt, port))

    def worker_failed(self, failure: Mapping[str, Any], consequence: bool) -> None:
        self._call(lambda follower: follower.worker_failed(failure, consequence))

    def stands(self, failure: Mapping[str, Any] | None) -> None:
        self._call(lambda follower: follower.stands(failure))

    def done(self, done: Done) -> None:
        self._call(lambda follower: follower.done(done))

    def leave(self, why: str, signal: int) -> None:
        self._call(lambda follower: follower.leave(why, signal))

    def stop(self, signal: int) -> None:
        """Ends the whole job; only where this agent leads."""
        if self._loop is not None:
            for hub in self._hubs:
                if hub.leads:  # a candidate has no say in the job of the others
                    self._loop.call_soon_threadsafe(hub.stop, signal)

    def close(self, timeout: float) -> None:
        """Lets what was said last go out, at most ``timeout`` seconds."""
        if self._loop is not None and self._over is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(timeout)
        os.close(self._read)
        os.close(self._write)

    def _call(self, ask: Callable[[Follower], list[Order]]) -> None:
        def run() -> None:
            assert self._follower is not None
            self._do(ask(self._follower))

        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(run)

    # --- in the coordination thread ---

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        meeting = self._meeting
        try:
            if meeting.lead:
                await self._lead(meeting.bind, meeting.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # else someone leads there: a coordinator of its own, say
                self._error = error
        self._follower = Follower(
            self._hello, meeting.host, meeting.port, meeting.join_timeout, self._loop.time()
        )
        self._started.set()
        if self._error is not None:
            return
        self._tick()
        await self._over.wait()
        await self._end()

    async def _lead(self, host: str, port: int, epoch: int = 1, successor: bool = False) -> Hub:
        assert self._loop is not None
        leader = Leader(
            self._run_id,
            self._hello.terms,
            self._meeting.join_timeout,
            self._loop.time(),
            uuid.uuid4().hex,
            epoch=epoch,
            successor=successor,
            node=self._hello.node,
        )
        hub = Hub(leader, self._meeting.key, self._meeting.job, lambda text: self._post(Word(text)))
        await hub.open(host, port)
        self._hubs.append(hub)
        return hub

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._channel is not None:
            self._channel.close("the agent ends")
        if self._succeeding is not None:
            self._succeeding.cancel()
        if self._hubs:
            await asyncio.gather(*(hub.close() for hub in self._hubs))
        elif self._channel is not None:
            await asyncio.sleep(0)  # lets the transport write what it has

    def _post(self, order: ForAgent) -> None:
        self._orders.append(order)
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._write, b"o")
        except BlockingIOError:
            pass  # it is readable already

    def _do(self, orders: list[Order]) -> None:
        assert self._loop is not None
        for order in orders:
            if isinstance(order, Connect):
                self._dialling = self._loop.create_task(self._dial(order))
            elif isinstance(order, Tell):
                if self._channel is not None:
                    self._channel.send(pack(order.message))
            elif isinstance(order, Disconnect):
                channel, self._channel = self._channel, None
                if channel is not None:
                    channel.close(order.why)
            elif isinstance(order, Lead):
                self._succeed(order)
            else:
                self._post(order)
        self._schedule()

    def _succeed(self, order: Lead) -> None:
        assert self._loop is not None
        if self._succeeding is None or self._succeeding.done():
            self._succeeding = self._loop.create_task(self._succeed_at(order.epoch))

    async def _succeed_at(self, epoch: int) -> None:
        """Until it resigns, or the job ends."""
        try:
            hub = await self._lead("", self._hello.port, epoch, successor=True)
        except OSError as error:
            self._post(Word(f"cannot take the leader's place at port {self._hello.port}: {error}"))
            return
        while not hub.ended.is_set():
            if (elsewhere := hub.elsewhere) is not None:
                await self._point(replace(elsewhere, address=self._hello.address))
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):  # two names until Python 3.11
                await asyncio.wait_for(hub.ended.wait(), POINT_EVERY)
        if hub.end is None:
            self._hubs.remove(hub)

    async def _point(self, elsewhere: Elsewhere) -> None:
        """New agents, and those that were cut off, ask at the job's endpoint: who is there is told."""
        meeting = self._meeting
        callbacks = Callbacks(lambda channel: channel.send(pack(elsewhere)), lambda *_: None, lambda *_: None)
        try:
            channel = await connect(
                meeting.host, meeting.port, meeting.key, meeting.job, callbacks, CONNECT_WITHIN
            )
        except (OSError, TimeoutError, Refused):
            return  # no one is there, or another job
        channel.close("said")

    async def _dial(self, target: Connect) -> None:
        assert self._loop is not None and self._follower is not None
        callbacks = Callbacks(self._on_open, self._on_message, self._on_closed)
        meeting = self._meeting
        try:
            await connect(target.host, target.port, meeting.key, meeting.job, callbacks, CONNECT_WITHIN)
        except Refused as error:
            other_job = error.code.name == "OTHER_JOB"
            if other_job:
                self._do(self._follower.not_connected(str(error), self._loop.time(), other_job=True))
            else:
                self._do(self._follower.refused(str(error)))
        except (OSError, TimeoutError) as error:
            text = error.strerror or str(error) or type(error).__name__
            self._do(self._follower.not_connected(text, self._loop.time()))

    def _on_open(self, channel: Channel) -> None:
        assert self._loop is not None and self._follower is not None
        self._channel = channel
        self._do(self._follower.connected(self._loop.time()))

    def _on_message(self, channel: Channel, record: dict[str, Any]) -> None:
        assert self._loop is not None and self._follower is not None
        if channel is not self._channel:
            return
        try:
            message = unpack(record)
        except MessageError as error:
            channel.close(str(error))
            return
        self._do(self._follower.received(message, self._loop.time()))

    def _on_closed(self, channel: Channel, why: str) -> None:
        assert self._loop is not None and self._follower is not None
        if channel is self._channel:
            self._channel = None
            self._do(self._follower.disconnected(why, self._loop.time()))

    def _schedule(self) -> None:
        assert self._loop is not None and self._follower is not None
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._follower.deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None and self._follower is not None
        self._do(self._follower.tick(self._loop.time()))
