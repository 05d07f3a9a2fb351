"""The leader at work: its socket, its clock, and its decisions' way out. Runs in an event loop."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ma_training.diagnosis import WorkerFailure

from .channel import Callbacks, Channel, Listener, listen
from .course import Phase
from .frames import encode
from .leader import Leader
from .messages import Done, Elsewhere, End, Hello, Message, MessageError, Stands, WorkerFailed, pack, unpack
from .outputs import Drop, Output, Resign, Say, Send

LAST_WORDS = 2.0  # seconds that agents have to hear that the job is over


class Hub:
    """``say`` gets what the leader has to tell its own user."""

    def __init__(self, leader: Leader, key: bytes, job: str, say: Callable[[str], None]) -> None:
        self._leader, self._key, self._job, self._say = leader, key, job, say
        self._channels: dict[int, Channel] = {}
        self._numbers: dict[Channel, int] = {}
        self._next = 1
        self._listener: Listener | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told: set[tuple[str, str]] = set()  # peers whose refusal has been said
        self.ended = asyncio.Event()
        self.end: End | None = None
        self.port = 0

    async def open(self, host: str, port: int) -> int:
        """Listens; returns the port. Raises OSError (EADDRINUSE where someone leads already)."""
        self._callbacks = Callbacks(self._on_open, self._on_message, self._on_closed)
        self._listener = await listen(host, port, self._key, self._job, self._callbacks, self._on_refused)
        self._schedule()
        self.port = self._listener.port
        return self.port

    @property
    def leads(self) -> bool:
        """Or did, when the job ended."""
        return self.end is not None or (self._leader.leads and not self.ended.is_set())

    @property
    def elsewhere(self) -> Elsewhere | None:
        """What the job's endpoint should be told, where this leader is not there."""
        return Elsewhere(self._leader.epoch, "", self.port) if self._leader.leads_elsewhere else None

    def stop(self, signal: int) -> None:
        self._do(self._leader.stop(signal, self._now()))

    async def close(self) -> None:
        """Waits a moment for agents to hear the last word, and to go by themselves."""
        deadline = self._now() + LAST_WORDS
        while self._channels and self._now() < deadline:
            await asyncio.sleep(0.02)
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.close()
        for channel in list(self._channels.values()):
            channel.close("the leader ends")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # --- what comes in ---

    def _on_open(self, channel: Channel) -> None:
        self._numbers[channel], self._channels[self._next] = self._next, channel
        self._next += 1

    def _on_message(self, channel: Channel, record: dict[str, object]) -> None:
        number = self._numbers[channel]
        try:
            message = unpack(record)
            for failure in _failures(message):
                WorkerFailure.from_record(failure)
            if isinstance(message, Hello):
                self._do(self._leader.joined(number, message, self._now()))
            else:
                self._do(self._leader.received(number, message, self._now()))
        except (MessageError, ValueError) as error:
            self._say(f"{channel.peer} does not speak as an agent does: {error}")
            channel.close(str(error))

    def _on_closed(self, channel: Channel, why: str) -> None:
        number = self._numbers.pop(channel, None)
        if number is not None and self._channels.pop(number, None) is not None:
            self._do(self._leader.lost(number, why, self._now()))

    def _on_refused(self, peer: str, why: str) -> None:
        host = peer.rpartition(":")[0]
        if (host, why) not in self._told and len(self._told) < 1000:  # someone may try it all day
            self._told.add((host, why))
            self._say(f"a connection from {peer} was refused: {why}")

    # --- what goes out ---

    def _do(self, outputs: Sequence[Output]) -> None:
        payloads: dict[int, bytes] = {}  # by identity: what goes to all is encoded once
        for output in outputs:
            if isinstance(output, Send):
                if channel := self._channels.get(output.member):
                    key = id(output.message)
                    if key not in payloads:
                        payloads[key] = encode(pack(output.message))
                    channel.send_payload(payloads[key])
            elif isinstance(output, Drop):
                if channel := self._channels.pop(output.member, None):
                    self._numbers.pop(channel, None)
                    channel.close(output.why)
            elif isinstance(output, Say):
                self._say(output.text)
            elif isinstance(output, Resign):
                self._resign(output.why)
            elif isinstance(output, End):
                self.end = output
                self.ended.set()
        self._schedule()

    def _resign(self, why: str) -> None:
        if self._listener is not None:
            self._listener.close()
        for channel in list(self._channels.values()):
            channel.close(why)
        self._channels.clear()
        self._numbers.clear()
        self.ended.set()

    def _schedule(self) -> None:
        deadline = self._leader.deadline
        if deadline is None or self._leader.phase is Phase.ENDED:
            if self._timer is not None:
                self._timer.cancel()
            return
        if self._timer is not None:
            if self._timer.when() <= deadline and not self._timer.cancelled():
                return  # it will be looked at then
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._do(self._leader.tick(self._now()))


def _failures(message: Message) -> Iterable[Mapping[str, Any]]:
    if isinstance(message, WorkerFailed | Stands):
        return (message.failure,) if message.failure is not None else ()
    done = message.done if isinstance(message, Hello) else message
    return done.failures if isinstance(done, Done) else ()
