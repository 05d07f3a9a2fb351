"""An agent's side of the conversation with its leader: whom to ask, what to obey, when to give up. Pure.

seeking ──standby──▶ voted ──welcome──▶ following ──end──▶ ended
   ▲ └───────────────welcome───────────────▶│ the connection is lost: workers train on
   └────────────────────────────────────────┘
        at the job's endpoint; then at the leader's successors', of whom this agent may be one;
        after PATIENCE without any leader the workers are ended
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ma_training.job import ExitCode, format_duration

from .messages import (
    Aside,
    Done,
    Elsewhere,
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
    Standby,
    Stands,
    Start,
    Stop,
    Successor,
    Vote,
    Welcome,
    WorkerFailed,
)

PING_EVERY = 1.0  # seconds
SILENCE = 2.5  # seconds without a word after which the leader is lost
LATE = 0.5  # seconds after its time that a tick says more of this process than of the leader
RETRY_EVERY = 0.5  # seconds between attempts to connect
PATIENCE = 10.0  # seconds that workers train on without a leader
SUCCESSION_AFTER = 3.0  # seconds at one address before the next in line is asked
OTHER_JOB_FOR = 5.0  # seconds that another job's leader may still sit at the address


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
    """Ask for votes, at this agent's own address."""

    epoch: int


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
        """``hello``: who this agent is. ``host``, ``port``: the job's endpoint."""
        self._hello, self._endpoint = hello, (host, port)
        self._join_timeout = join_timeout
        self.epoch, self._leader = 0, ""  # the last that it has voted for, or followed
        self.slice: Slice | None = None  # of the attempt whose workers run
        self._last: Slice | None = None  # of the last attempt, running or not
        self._done: Done | None = None  # of the last attempt; the leader may not have heard it
        self._said: list[Message] = []  # of this attempt; said again to a leader that may not have heard it
        self._attempt = self._highest = -1  # the last that it has heard of, the highest of all
        self._settled = -1  # the last that all of its nodes have heard of
        self._successors: Sequence[Successor] = ()
        self._elsewhere: tuple[str, int] | None = None  # where it was told to look
        self.following = False  # welcomed, and not lost since
        self.ended = False
        self._connected = self._connecting = False
        self._alone_since = now  # since when there is no leader
        self._next_try = now
        self._next_ping = self._heard = now
        self._halted = self._stopped = False  # the workers: for want of a leader, by order of one
        self._target = self._endpoint
        self._turn = 0  # of the candidacies since there is no leader
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
        hello = replace(
            self._hello,
            epoch=self.epoch,
            leader=self._leader,
            attempt=self._highest,
            last=self._last,
            running=self.slice is not None,
            settled=self._last is not None and self._last.attempt == self._settled,
            done=self._done,
        )
        return [Tell(hello)]

    def not_connected(self, why: str, now: float, other_job: bool = False) -> list[Order]:
        """No one is there, or someone else. ``why`` in plain words."""
        self._connecting, self._why = False, why
        self._next_try = now + RETRY_EVERY
        if other_job and now >= self._alone_since + OTHER_JOB_FOR:
            return self.refused(why)
        return []

    def refused(self, why: str) -> list[Order]:
        """It will not become better by itself."""
        return self._finish(End("refused", ExitCode.USAGE, why, 0))

    def disconnected(self, why: str, now: float) -> list[Order]:
        if not self._connected:
            return []
        self._connected = False
        if not self.following:
            return self.not_connected(why, now)
        self._lose(now)
        self._why = why
        going_on = "; the workers train on" if self.slice and not self._halted else ""
        return [Word(f"the leader at {self._where()} is gone: {why}{going_on}")]

    def _lose(self, now: float) -> None:
        self.following = False
        self._alone_since = self._next_try = now
        self._turn = 0

    def tick(self, now: float) -> list[Order]:
        if self.ended:
            return []
        orders = self._tick_connected(now) if self._connected else []
        if self.following:
            return orders
        alone = now - self._alone_since
        if self.slice and not self._halted and now >= self._alone_since + PATIENCE:
            orders += self._give_up_workers(alone)
        if now >= self._alone_since + self._join_timeout and not self.ended:
            code = ExitCode.PREEMPTED if self._last else ExitCode.PRECHECK_FAILED
            text = f"no leader at {self._where()} for {format_duration(alone)}: {self._why}"
            return [*orders, *self._finish(End("failed", code, text, 0))]
        if self.ended or self._connected or self._connecting or now < self._next_try:
            return orders
        return [*orders, *self._seek(now)]

    def _tick_connected(self, now: float) -> list[Order]:
        due = min(self._next_ping, self._heard + SILENCE)
        if now > due + LATE:  # this process stood still: what the leader said is still to be read
            self._heard += now - due
        if now >= self._heard + SILENCE:
            why = f"nothing was heard of it for {format_duration(now - self._heard)}"
            return [Disconnect(why), *self.disconnected(why, now)]
        if now >= self._next_ping:
            self._next_ping = now + PING_EVERY
            return [Tell(Ping(self._attempt))]
        return []

    def _seek(self, now: float) -> list[Order]:
        self._connecting = True
        if self._elsewhere is not None:
            self._target, self._elsewhere = self._elsewhere, None
            return [Connect(*self._target)]
        turn = int((now - self._alone_since) // SUCCESSION_AFTER)
        place = turn % (len(self._successors) + 1)
        if place == 0:
            self._target = self._endpoint
            return [Connect(*self._target)]
        heir = self._successors[place - 1]
        self._target = heir.address, heir.port
        orders: list[Order] = []
        if heir.node == self._hello.node and self._turn < turn and self._may_succeed:
            self._turn = turn
            orders.append(Lead(self.epoch + 1))
        return [*orders, Connect(*self._target)]

    @property
    def _may_succeed(self) -> bool:
        """Without the leader's there can be more than half of the nodes. Of two there cannot."""
        last = self._last
        return last is not None and last.node_rank >= 0 and last.survivors * 2 > last.nnodes

    def _give_up_workers(self, alone: float) -> list[Order]:
        assert self.slice is not None
        self._halted = True
        why = f"no leader for {format_duration(alone)}: {self._why}"
        orders: list[Order] = [
            Word(f"{why}; ending the workers here, which are cut off from the others"),
            Halt(self.slice.attempt, why),
        ]
        if not self._may_succeed:
            text = f"{why}. Of two nodes neither can go on alone: the other may be doing so"
            orders += self._finish(End("failed", ExitCode.PREEMPTED, text, 0))
        return orders

    def _finish(self, end: End) -> list[Order]:
        self.ended = True
        self._connected = self._connecting = self.following = False
        return [Disconnect("ended"), end]

    def _where(self) -> str:
        host, port = self._target
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # --- what the leader says ---

    def received(self, message: Message, now: float) -> list[Order]:
        self._heard = now
        if isinstance(message, Standby | Welcome):
            return self._on_claim(message, now)
        if isinstance(message, Elsewhere):
            self._elsewhere, self._why = (message.address, message.port), "it is led elsewhere"
            orders: list[Order] = [Disconnect(self._why)]
            self._connected = False
            if self.following:
                self._lose(now)
            self._next_try = now
            return orders
        if isinstance(message, Refuse):
            return self.refused(message.why)
        if isinstance(message, Note):
            return [Word(message.text)]
        if isinstance(message, End):
            return self._finish(message)
        part = message.slice if isinstance(message, Start | Aside) else message
        epoch = getattr(part, "epoch", -1)
        if epoch != self.epoch:
            return []  # of a leader whose time is over
        if isinstance(message, Pong):
            self._settled = message.settled
            return []
        if isinstance(message, HoldPort):
            return [Hold(message.attempt)]
        if isinstance(message, Start):
            return self._on_start(message.slice)
        if isinstance(message, Aside):
            if self.slice is None:
                self._last, self._done, self._said = message.slice, None, []
            self._hear_of(message.slice)
            return [Word(message.why)] if message.why else []
        if isinstance(message, Stop) and self.slice and self.slice.attempt == message.attempt:
            self._stopped = True
            return [Halt(message.attempt, message.why, message.settle)]
        return []

    def _on_claim(self, message: Standby | Welcome, now: float) -> list[Order]:
        """One vote an epoch."""
        known = (message.epoch, message.leader) == (self.epoch, self._leader)
        if message.epoch <= self.epoch and not known:
            why = "it has voted for a later leader"
            return [Disconnect(why), *self.disconnected(why, now)]
        self.epoch, self._leader = message.epoch, message.leader
        if isinstance(message, Standby):
            if self.following:
                self._lose(now)
            self._why = "too few nodes have come to it"
            return [Tell(Vote(message.epoch))]
        again, self.following = self.following, True
        if again:
            return []
        return [Joined(message.run_id), *(order for said in self._said for order in self._tell(said))]

    def _on_start(self, part: Slice) -> list[Order]:
        orders: list[Order] = []
        if self.slice is not None and not self._stopped:  # the leader has not heard of them
            orders.append(Halt(self.slice.attempt, f"attempt {part.attempt} follows"))
        self.slice = self._last = part
        self._hear_of(part)
        self._halted = self._stopped = False
        self._done, self._said = None, []
        return [*orders, Begin(part)]

    def _hear_of(self, part: Slice) -> None:
        self._attempt, self._successors = part.attempt, part.successors
        self._highest = max(self._highest, part.attempt)

    # --- what happens here ---

    def port_held(self, attempt: int, port: int) -> list[Order]:
        return self._tell(PortHeld(attempt, port))

    def worker_failed(self, failure: Mapping[str, Any], consequence: bool) -> list[Order]:
        if self.slice is None:
            return []
        self._said.append(WorkerFailed(self.slice.attempt, failure, consequence))
        return self._tell(self._said[-1])

    def stands(self, failure: Mapping[str, Any] | None) -> list[Order]:
        """All workers here wait; None: they do no more."""
        return self._tell(Stands(self.slice.attempt, failure)) if self.slice is not None else []

    def done(self, done: Done) -> list[Order]:
        """No process of the attempt is left here."""
        if self.slice is None or self.slice.attempt != done.attempt:
            return []
        self._done = replace(done, cut_short=self._halted or self._stopped)
        self._said.append(self._done)
        self.slice, self._halted = None, False
        return self._tell(self._done)

    def leave(self, why: str, signal: int = 0) -> list[Order]:
        """This agent ends; the others go on without it."""
        self.ended = True
        return [*self._tell(Leave(why, signal)), Disconnect(why)]

    def _tell(self, message: Message) -> list[Order]:
        return [Tell(message)] if self._connected else []
