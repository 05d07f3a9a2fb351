"""The life of one attempt's workers on this node: a pure state machine.

Each rank:

    STARTING ──spawned──▶ RUNNING ──dying──▶ DYING ──exited──▶ EXITED ──gone──▶ GONE
                                                     │              (its tree may outlive the worker)
                                                     └──left──▶ LEFT
    and, once it is to stop:

    SIGTERM ──grace──▶ stacks dumped ──dump──▶ SIGKILL to the tree ──kill──▶ ABANDONED (in the kernel)

A failed rank stops all others; the grace runs for each rank on its own. Times are seconds of any
monotonic clock, given by the caller; what to do is returned, never done here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from signal import SIGTERM

from ma_training.job import Timeouts


class State(Enum):
    STARTING = auto()
    RUNNING = auto()
    DYING = auto()  # the kernel is tearing it down; its status is not out yet
    EXITED = auto()
    GONE = auto()
    LEFT = auto()  # dying, and holding nothing that the next attempt could want
    ABANDONED = auto()


class Do(Enum):
    ASK = auto()  # for the exception in flight
    SIGNAL = auto()  # the worker (for a program that is not ours, its process group)
    SIGNAL_TREE = auto()  # every process that is left of it
    DUMP = auto()  # stacks into its log
    KILL = auto()  # SIGKILL to every process that is left of it, until none is
    ABANDON = auto()


@dataclass(frozen=True, slots=True)
class Action:
    do: Do
    rank: int
    signal: int = 0


ENDED = (State.GONE, State.LEFT, State.ABANDONED)
ALIVE = (State.STARTING, State.RUNNING)


@dataclass(slots=True)
class _Rank:
    state: State = State.STARTING
    stopped_at: float | None = None  # when we first asked it to end
    dump_at: float | None = None
    kill_at: float | None = None
    abandon_at: float | None = None
    killed: bool = False  # its shim is killing the tree


class WorkerGroup:
    """Feed it what happened; do what it returns; call `tick` when `deadline` has come."""

    def __init__(self, ranks: Iterable[int], timeouts: Timeouts) -> None:
        self._ranks = {rank: _Rank() for rank in ranks}
        self._timeouts = timeouts
        self._stop_at: float | None = None
        self.stopping = False

    # --- what is known ---

    def state(self, rank: int) -> State:
        return self._ranks[rank].state

    def stopped_at(self, rank: int) -> float | None:
        """When we first sent this rank a signal to end: what it dies of afterwards is no news."""
        return self._ranks[rank].stopped_at

    @property
    def over(self) -> bool:
        return all(rank.state in ENDED for rank in self._ranks.values())

    def ranks(self, *states: State) -> list[int]:
        return [number for number, rank in self._ranks.items() if rank.state in states]

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called next."""
        if self.over:
            return None
        times = [self._stop_at]
        for rank in self._ranks.values():
            if rank.state not in ENDED:
                times += [rank.dump_at, rank.kill_at, rank.abandon_at]
        return min((time for time in times if time is not None), default=None)

    # --- what happened ---

    def spawned(self, rank: int) -> None:
        if self._ranks[rank].state is State.STARTING:
            self._ranks[rank].state = State.RUNNING

    def dying(self, rank: int, now: float) -> None:
        this = self._ranks[rank]
        if this.state in ALIVE:
            this.state = State.DYING
            this.dump_at = this.kill_at = None
            this.abandon_at = now + self._timeouts.kill

    def exited(self, rank: int, now: float) -> list[Action]:
        """The worker itself has ended. What it leaves running is asked to end too."""
        this = self._ranks[rank]
        if this.state in (State.EXITED, *ENDED):
            return []
        this.state = State.EXITED
        if this.killed:
            return []
        this.dump_at = this.abandon_at = None
        if self.stopping:
            return self._kill(rank, now)
        this.kill_at = now + self._timeouts.grace
        return [Action(Do.SIGNAL_TREE, rank, SIGTERM)]

    def gone(self, rank: int) -> None:
        if self._ranks[rank].state not in (State.ABANDONED, State.LEFT):
            self._ranks[rank].state = State.GONE

    def left(self, rank: int) -> None:
        """The next attempt may begin beside what is left of ``rank``."""
        if self._ranks[rank].state is State.DYING:
            self._ranks[rank].state = State.LEFT

    def failed(self, rank: int, now: float, settle: float = 0.0) -> list[Action]:
        """``rank`` has failed, or is dying of it: what is left of it is killed, the others are stopped.

        With ``settle``, the failure looks like a consequence of another rank's: the others are asked
        what they are dying of, and stopped when time is up, or there was no one to ask (`settled`).
        """
        actions = self._kill(rank, now) if self._ranks[rank].state is State.EXITED else []
        if self.stopping:
            return actions
        return actions + (self.ask(now, settle) if settle else self.stop(now))

    def ask(self, now: float, settle: float) -> list[Action]:
        """What everyone is dying of; they are stopped ``settle`` seconds later."""
        if self.stopping or self._stop_at is not None:
            return []
        self._stop_at = now + settle
        return [Action(Do.ASK, number) for number, rank in self._ranks.items() if rank.state in ALIVE]

    def settled(self, now: float) -> list[Action]:
        return self.stop(now) if self._stop_at is not None else []

    def stop(self, now: float, signal: int = SIGTERM) -> list[Action]:
        """Everyone is to end: ``signal`` first, then the grace."""
        self._stop_at = None
        actions = []
        for number, rank in self._ranks.items():
            if rank.state in ALIVE and not rank.killed:
                if not self.stopping:
                    rank.dump_at, rank.stopped_at = now + self._timeouts.grace, now
                actions.append(Action(Do.SIGNAL, number, signal))
            elif rank.state is State.EXITED and not self.stopping:
                actions += self._kill(number, now)
        self.stopping = True
        return actions

    def kill(self, now: float) -> list[Action]:
        """No more patience."""
        self._stop_at, self.stopping = None, True
        return [action for rank in self._ranks for action in self._kill(rank, now)]

    def shift(self, seconds: float) -> None:
        """The whole job stood still for this long (Ctrl-Z): no deadline ran meanwhile."""
        for rank in self._ranks.values():
            rank.dump_at = _later(rank.dump_at, seconds)
            rank.kill_at = _later(rank.kill_at, seconds)
            rank.abandon_at = _later(rank.abandon_at, seconds)
        self._stop_at = _later(self._stop_at, seconds)

    def tick(self, now: float) -> list[Action]:
        actions = []
        if self._stop_at is not None and now >= self._stop_at:
            actions += self.stop(now)
        for number, rank in self._ranks.items():
            if rank.state in ENDED:
                continue
            if rank.dump_at is not None and now >= rank.dump_at:
                rank.dump_at, rank.kill_at = None, now + self._timeouts.dump
                actions.append(Action(Do.DUMP, number))
            elif rank.kill_at is not None and now >= rank.kill_at:
                actions += self._kill(number, now)
            elif rank.abandon_at is not None and now >= rank.abandon_at:
                rank.state = State.ABANDONED
                actions.append(Action(Do.ABANDON, number))
        return actions

    def _kill(self, rank: int, now: float) -> list[Action]:
        this = self._ranks[rank]
        if this.state in ENDED or this.killed:
            return []
        this.killed = True
        this.dump_at = this.kill_at = None
        this.abandon_at = now + self._timeouts.kill
        if this.state in ALIVE and this.stopped_at is None:
            this.stopped_at = now
        return [Action(Do.KILL, rank)]


def _later(time: float | None, seconds: float) -> float | None:
    return None if time is None else time + seconds
