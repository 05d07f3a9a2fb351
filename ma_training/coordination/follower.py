"""An agent's side of the conversation with its leader: whom to ask, what to obey, when to give up. Pure.

seeking ──welcome──▶ following ──end──▶ ended
   ▲                    │ the connection is lost: workers train on
   └────────────────────┘
        at the leader's address; then at its successors', of whom this agent may be one;
        after PATIENCE without any leader the workers are ended
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ma_training.job import format_duration

from .messages import (
    Done,
    End,
    Hello,
    HoldPort,
    Leave,
    Message,
    Note,
    Ping,
    Pong,
    PortHeld,
    Refuse,
    Slice,
    Start,
    Stop,
    Welcome,
    WorkerFailed,
)

PING_EVERY = 1.0  # seconds
SILENCE = 2.5  # seconds without a word after which the leader is lost
RETRY_EVERY = 0.5  # seconds between attempts to connect
PATIENCE = 10.0  # seconds that workers train on without a leader
SUCCESSION_AFTER = 3.0  # seconds at one address before the next in line is asked
OTHER_JOB_FOR = 5.0  # seconds that another job's leader may still sit at the address
NO_LEADER = 75  # exit code: stopped from outside


@dataclass(frozen=True, slots=True)
class Connect:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    why: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Send it to the leader."""

    message: Message


@dataclass(frozen=True, slots=True)
class Lead:
    """Become the leader, at this agent's own address, once ``votes`` agents of the last attempt have come."""

    epoch: int
    votes: int


@dataclass(frozen=True, slots=True)
class Begin:
    slice: Slice


@dataclass(frozen=True, slots=True)
class Hold:
    """Find a port for the rendezvous of this attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Halt:
    """End the workers of this attempt."""

    attempt: int
    why: str
    settle: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    run_id: str


@dataclass(frozen=True, slots=True)
class Word:
    text: str


Order = Connect | Disconnect | Tell | Lead | Begin | Hold | Halt | Joined | Word | End


class Follower:
    def __init__(self, hello: Hello, host: str, port: int, join_timeout: float, now: float) -> None:
        """``hello``: who this agent is. ``host``, ``port``: where its leader is expected."""
        self._hello, self._endpoint = hello, (host, port)
        self._join_timeout = join_timeout
        self.epoch = 0  # the highest that it has followed, or promised to follow
        self.slice: Slice | None = None  # of the attempt whose workers run
        self._last: Slice | None = None  # of the last attempt, running or not
        self._done: Done | None = None  # of the last attempt; the leader may not have heard it
        self.following = False  # welcomed, and not lost since
        self.ended = False
        self._connected = self._connecting = False
        self._alone_since = now  # since when there is no leader
        self._next_try = now
        self._next_ping = self._heard = now
        self._halted = False  # for want of a leader
        self._target = 0  # 0: the endpoint, n: the n-th successor
        self._led_at = 0  # the epoch for which this agent has become leader
        self._why = "no answer"

    @property
    def deadline(self) -> float | None:
        if self.ended:
            return None
        times = [self._next_ping, self._heard + SILENCE] if self._connected else []
        if self.following:
            return min(times)
        times.append(self._alone_since + self._join_timeout)
        if not self._connected and not self._connecting:
            times.append(self._next_try)
        if self.slice and not self._halted:
            times.append(self._alone_since + PATIENCE)
        return min(times)

    # --- the connection ---

    def connected(self, now: float) -> list[Order]:
        self._connecting, self._connected = False, True
        self._heard, self._next_ping = now, now + PING_EVERY
        running = self.slice if not self._halted else None
        if self._done is not None:  # it ended while there was no leader to hear of it
            running = self._last
        return [Tell(replace(self._hello, epoch=self.epoch, running=running))]

    def not_connected(self, why: str, now: float, other_job: bool = False) -> list[Order]:
        """No one is there, or someone else. ``why`` in plain words."""
        self._connecting, self._why = False, why
        self._next_try = now + RETRY_EVERY
        if other_job and now - self._alone_since >= OTHER_JOB_FOR:
            return self.refused(why)
        return []

    def refused(self, why: str) -> list[Order]:
        """It will not become better by itself."""
        return self._finish(End("refused", 64, why, 0))

    def disconnected(self, why: str, now: float) -> list[Order]:
        if not self._connected:
            return []
        self._connected = False
        if not self.following:
            return self.not_connected(why, now)
        self.following = False
        self._alone_since, self._next_try, self._why = now, now, why
        going_on = "; the workers train on" if self.slice and not self._halted else ""
        return [Word(f"the leader at {self._where()} is gone: {why}{going_on}")]

    def tick(self, now: float) -> list[Order]:
        if self.ended:
            return []
        orders = self._tick_connected(now) if self._connected else []
        if self.following:
            return orders
        alone = now - self._alone_since
        if self.slice and not self._halted and alone >= PATIENCE:
            orders += self._give_up_workers(alone)
        if alone >= self._join_timeout and not self.ended:
            code = NO_LEADER if self._last else 69
            text = f"no leader at {self._where()} for {format_duration(alone)}: {self._why}"
            return [*orders, *self._finish(End("failed", code, text, 0))]
        if self.ended or self._connected or self._connecting or now < self._next_try:
            return orders
        return [*orders, *self._seek(now)]

    def _tick_connected(self, now: float) -> list[Order]:
        if now - self._heard >= SILENCE:
            why = f"nothing was heard of it for {format_duration(now - self._heard)}"
            return [Disconnect(why), *self.disconnected(why, now)]
        if now >= self._next_ping:
            self._next_ping = now + PING_EVERY
            return [Tell(Ping())]
        return []

    def _seek(self, now: float) -> list[Order]:
        self._connecting = True
        self._target = self._whose_turn(now)
        if self._target == 0 or self._last is None:
            return [Connect(*self._endpoint)]
        successor = self._last.successors[self._target - 1]
        # A number of its own for each candidate and try: no two lead in one epoch.
        tries = int((now - self._alone_since) // SUCCESSION_AFTER) - 1
        rounds, heirs = tries // (len(self._last.successors) + 1), len(self._last.successors)
        epoch = self._last.epoch + rounds * heirs + self._target
        self.epoch = max(self.epoch, epoch - 1)
        orders: list[Order] = []
        if successor.node == self._hello.node and self._led_at < epoch:
            self._led_at = epoch
            orders.append(Lead(epoch, self._last.nnodes // 2 + 1))
        return [*orders, Connect(successor.address, successor.port)]

    def _whose_turn(self, now: float) -> int:
        """The leader's address, then its successors', each for a while; then from the beginning."""
        if self._last is None or self._last.nnodes < 3:
            return 0  # of two nodes, neither is a majority
        turn = int((now - self._alone_since) // SUCCESSION_AFTER)
        return turn % (len(self._last.successors) + 1)

    def _give_up_workers(self, alone: float) -> list[Order]:
        assert self.slice is not None
        self._halted = True
        why = f"no leader for {format_duration(alone)}: {self._why}"
        orders: list[Order] = [
            Word(f"{why}; ending the workers here, which are cut off from the others"),
            Halt(self.slice.attempt, why),
        ]
        if self.slice.nnodes == 2:
            text = f"{why}. Of two nodes neither can go on alone: the other may be doing so"
            orders += self._finish(End("failed", NO_LEADER, text, 0))
        return orders

    def _finish(self, end: End) -> list[Order]:
        self.ended = True
        self._connected = self._connecting = self.following = False
        return [Disconnect("ended"), end]

    def _where(self) -> str:
        host, port = self._endpoint
        if self._target and self._last and self._target <= len(self._last.successors):
            host, port = (
                self._last.successors[self._target - 1].address,
                self._last.successors[self._target - 1].port,
            )
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # --- what the leader says ---

    def received(self, message: Message, now: float) -> list[Order]:
        self._heard = now
        if isinstance(message, Welcome):
            return self._on_welcome(message)
        if isinstance(message, Refuse):
            return self.refused(message.why)
        if isinstance(message, Note):
            return [Word(message.text)]
        if isinstance(message, End):
            return self._finish(message)
        epoch = message.slice.epoch if isinstance(message, Start) else getattr(message, "epoch", self.epoch)
        if epoch < self.epoch or isinstance(message, Pong):
            return []  # of a leader whose time is over
        if isinstance(message, HoldPort):
            return [Hold(message.attempt)]
        if isinstance(message, Start):
            self.slice = self._last = message.slice
            self._halted, self._done = False, None
            return [Begin(message.slice)]
        if isinstance(message, Stop) and self.slice and self.slice.attempt == message.attempt:
            return [Halt(message.attempt, message.why, message.settle)]
        return []

    def _on_welcome(self, message: Welcome) -> list[Order]:
        if message.epoch < self.epoch:
            return [Disconnect("its epoch is over"), *self.disconnected("its epoch is over", self._heard)]
        self.epoch = message.epoch
        again, self.following = self.following, True
        if again:
            return []
        return [Joined(message.run_id), *(self._tell(self._done) if self._done else [])]

    # --- what happens here ---

    def port_held(self, attempt: int, port: int) -> list[Order]:
        return self._tell(PortHeld(attempt, port))

    def worker_failed(self, failure: Mapping[str, Any], consequence: bool) -> list[Order]:
        return self._tell(WorkerFailed(self.slice.attempt, failure, consequence)) if self.slice else []

    def done(self, done: Done) -> list[Order]:
        """No process of the attempt is left here."""
        if self.slice is None or self.slice.attempt != done.attempt:
            return []
        self._done = None if self._halted else done  # if halted, it says nothing of the job
        self.slice, self._halted = None, False
        return self._tell(done)

    def leave(self, why: str, signal: int = 0) -> list[Order]:
        """This agent ends; the others go on without it."""
        self.ended = True
        return [*self._tell(Leave(why, signal)), Disconnect(why)]

    def _tell(self, message: Message) -> list[Order]:
        return [Tell(message)] if self._connected else []
