"""Random legal histories of an attempt's workers, against what each rank is owed by the rules."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ma_training.agent.worker_group import ALIVE, ENDED, Action, Do, State, WorkerGroup
from ma_training.job import Timeouts


@dataclass
class Rank:
    """What a rank has been told and has reported, and when."""

    life: State = State.STARTING
    signalled: float | None = None
    dumped: float | None = None
    exited: float | None = None  # by itself: its tree has been asked to end
    doomed: float | None = None  # only the kernel is waited for
    killed: bool = False

    def owed(self, timeouts: Timeouts) -> tuple[Do, float] | None:
        """What is to happen next, and when, to a rank that ignores everything."""
        if self.life in ENDED:
            return None
        if self.doomed is not None:
            return Do.ABANDON, self.doomed + timeouts.kill
        if self.exited is not None:
            return Do.KILL, self.exited + timeouts.grace
        if self.dumped is not None:
            return Do.KILL, self.dumped + timeouts.dump
        return None if self.signalled is None else (Do.DUMP, self.signalled + timeouts.grace)

    def shift(self, seconds: float) -> None:
        for name in ("signalled", "dumped", "exited", "doomed"):
            if (time := getattr(self, name)) is not None:
                setattr(self, name, time + seconds)


TIME = st.integers(0, 48).map(lambda quarters: quarters / 4)  # sums are exact: times compare equal
SETTLE = st.sampled_from([4.0, 1.0, 0.0])  # long enough for something to happen meanwhile
WHICH = st.integers(0, 3)


def some(*states: State) -> Callable[[Any], Any]:
    return precondition(lambda self: any(rank.life in states for rank in self.ranks.values()))


# Without it nearly every history is stopped within a few steps, and little else is ever seen.
trouble = precondition(lambda self: self.now >= self.trouble_from)


class WorkersAtTheirWorst(RuleBasedStateMachine):
    @initialize(count=st.integers(1, 4), calm=TIME, grace=TIME, dump=TIME, kill=TIME)
    def begin(self, count: int, calm: float, grace: float, dump: float, kill: float) -> None:
        self.trouble_from = 1000.0 + calm
        self.now, self.stopping = 1000.0, False
        self.settle_by: float | None = None
        self.timeouts = Timeouts(grace, dump, kill)
        self.ranks = {number: Rank() for number in range(count)}
        self.first_stop: dict[int, float] = {}
        self.group = WorkerGroup(self.ranks, self.timeouts)

    def pick(self, which: int, *states: State) -> tuple[int, Rank]:
        found = [(number, rank) for number, rank in self.ranks.items() if rank.life in states]
        return found[which % len(found)]

    def done(self, actions: Sequence[Action], expected: Iterable[tuple[Do, int]]) -> None:
        assert Counter((action.do, action.rank) for action in actions) == Counter(expected)
        for action in actions:
            number, rank = action.rank, self.ranks[action.rank]
            assert rank.life not in ENDED
            if action.do is Do.SIGNAL and rank.signalled is None:
                rank.signalled = self.first_stop[number] = self.now
            elif action.do is Do.DUMP:
                rank.dumped = self.now
            elif action.do is Do.KILL:
                assert not rank.killed
                rank.killed, rank.doomed = True, self.now
                if rank.life in ALIVE:
                    self.first_stop.setdefault(number, self.now)
            elif action.do is Do.ABANDON:
                rank.life = State.ABANDONED

    def stopped(self) -> set[tuple[Do, int]]:
        """What a stop does at once. A dying rank can act on nothing: it is waited for as it is."""
        first, self.stopping, self.settle_by = not self.stopping, True, None
        able = {number: rank for number, rank in self.ranks.items() if not rank.killed}
        signals = {(Do.SIGNAL, number) for number, rank in able.items() if rank.life in ALIVE}
        kills = {(Do.KILL, number) for number, rank in able.items() if rank.life is State.EXITED and first}
        return signals | kills

    def tick(self) -> bool:
        """Says whether there was anything to do."""
        due = self.settle_by is not None and self.now >= self.settle_by
        actions = self.group.tick(self.now)
        at_once = self.stopped() if due else set()
        self.done(actions[: len(at_once)], at_once)
        for action in actions[len(at_once) :]:
            owed = self.ranks[action.rank].owed(self.timeouts)
            assert owed is not None
            assert owed[1] <= self.now, "too early"
            self.done([action], [(owed[0], action.rank)])
        return due or bool(actions)

    def exited(self, number: int) -> None:
        rank = self.ranks[number]
        actions = self.group.exited(number, self.now)
        rank.life = State.EXITED
        if rank.killed:
            expected = []
        elif self.stopping:
            expected = [(Do.KILL, number)]
        else:
            rank.doomed, rank.exited = None, self.now
            expected = [(Do.SIGNAL_TREE, number)]
        self.done(actions, expected)

    def failed(self, number: int, settle: float) -> None:
        actions = self.group.failed(number, self.now, settle)
        rank = self.ranks[number]
        expected = {(Do.KILL, number)} if rank.life is State.EXITED and not rank.killed else set()
        if not self.stopping and not settle:
            expected |= self.stopped()
        elif not self.stopping and self.settle_by is None:
            self.settle_by = self.now + settle
            expected |= {(Do.ASK, other) for other, rank in self.ranks.items() if rank.life in ALIVE}
        self.done(actions, expected)

    def gone(self, number: int) -> None:
        self.group.gone(number)
        self.ranks[number].life = State.GONE

    @some(State.STARTING)
    @rule(which=WHICH)
    def spawns(self, which: int) -> None:
        number, rank = self.pick(which, State.STARTING)
        self.group.spawned(number)
        rank.life = State.RUNNING

    @some(State.RUNNING)
    @rule(which=WHICH, well=st.booleans(), settle=SETTLE)
    def starts_dying(self, which: int, well: bool, settle: float) -> None:
        number, rank = self.pick(which, State.RUNNING)
        self.group.dying(number, self.now)
        rank.life, rank.doomed = State.DYING, self.now
        if not well:
            self.failed(number, settle)

    @some(State.RUNNING, State.DYING)
    @rule(which=WHICH, well=st.booleans(), settle=SETTLE)
    def exits(self, which: int, well: bool, settle: float) -> None:
        number, _ = self.pick(which, State.RUNNING, State.DYING)
        self.exited(number)
        if not well:
            self.failed(number, settle)

    @trouble
    @some(State.STARTING, State.RUNNING, State.DYING)
    @rule(which=WHICH)
    def is_lost_at_once(self, which: int) -> None:
        """It could not be started, or its shim was killed, and the worker with it."""
        number, _ = self.pick(which, State.STARTING, State.RUNNING, State.DYING)
        self.exited(number)
        self.failed(number, settle=0.0)
        self.gone(number)

    @some(State.EXITED)
    @rule(which=WHICH)
    def goes(self, which: int) -> None:
        self.gone(self.pick(which, State.EXITED)[0])

    @some(State.DYING)
    @rule(which=WHICH)
    def is_left(self, which: int) -> None:
        number, rank = self.pick(which, State.DYING)
        self.group.left(number)
        rank.life = State.LEFT

    @some(*ENDED)
    @rule(which=WHICH)
    def reports_too_late(self, which: int) -> None:
        number, _ = self.pick(which, *ENDED)
        self.group.spawned(number)
        self.group.dying(number, self.now)
        assert self.group.exited(number, self.now) == []
        self.group.left(number)
        self.group.gone(number)

    @precondition(lambda self: self.settle_by is not None)
    @rule()
    def all_have_answered(self) -> None:
        self.done(self.group.settled(self.now), self.stopped())

    @trouble
    @rule()
    def stop(self) -> None:
        self.done(self.group.stop(self.now), self.stopped())

    @trouble
    @rule()
    def kill(self) -> None:
        self.stopping, self.settle_by = True, None
        left = [number for number, rank in self.ranks.items() if rank.life not in ENDED and not rank.killed]
        self.done(self.group.kill(self.now), [(Do.KILL, number) for number in left])

    @rule(seconds=TIME)
    def stands_still(self, seconds: float) -> None:
        self.group.shift(seconds)
        self.now += seconds
        if self.settle_by is not None:
            self.settle_by += seconds
        for rank in self.ranks.values():
            rank.shift(seconds)

    @rule(seconds=TIME, punctual=st.booleans())
    def time_passes(self, seconds: float, punctual: bool) -> None:
        """The loop calls at each deadline; a busy one is late, and then calls until nothing is due."""
        until = self.now + seconds
        while (deadline := self.group.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline) if punctual else until
            assert self.tick(), "called in vain"
            self.what_is_known_is_so()
        self.now = until
        self.tick()

    @invariant()
    def what_is_known_is_so(self) -> None:
        assert {number: self.group.state(number) for number in self.ranks} == {
            number: rank.life for number, rank in self.ranks.items()
        }
        assert self.group.stopping == self.stopping
        for number in self.ranks:
            assert self.group.stopped_at(number) == self.first_stop.get(number)

    @invariant()
    def deadline_is_when_something_is_owed(self) -> None:
        owed = [owed[1] for rank in self.ranks.values() if (owed := rank.owed(self.timeouts))]
        if self.settle_by is not None and not self.group.over:
            owed.append(self.settle_by)
        assert self.group.deadline == min(owed, default=None)

    def teardown(self) -> None:
        """Whatever they ignore, they are over within the three timeouts of a stop."""
        if not hasattr(self, "group"):
            return
        if not self.stopping:
            self.stop()
        latest = self.now + self.timeouts.grace + self.timeouts.dump + self.timeouts.kill
        while not self.group.over:
            assert self.group.deadline is not None
            self.now = max(self.now, self.group.deadline)
            assert self.now <= latest
            assert self.tick(), "called in vain"


TestWorkersAtTheirWorst = WorkersAtTheirWorst.TestCase
