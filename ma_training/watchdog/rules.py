"""Whether the workers of a node hang: evidence in, findings out; no IO, no clock.

         no progress for longer than the limit            every rank stands, for as long as it may
    CALM ────────────────────────────────▶ SUSPECT ────────────────────────────────▶ HUNG
     ▲        (stacks are asked for)         │           (patience.py)                │
     └──────────────── progress: Cleared ────┴────────────────────────────────────────┘

Progress is an optimizer step, a commit of TrainingState, another phase or section (progress.py). The limit is
learned (learning.py). Who waits for a rank that is in another phase, within its limit, is not suspect; a rank
that stays behind while others go on is judged alone. All times run on the job's clock (clock.py).
"""

from collections.abc import Sequence
from enum import Enum, auto
from math import inf

from .activity import Activity
from .clock import JobClock
from .evidence import Evidence, RankEvidence, Stack
from .figures import (
    AHEAD,
    BREATH,
    CONFIRM,
    INTERVAL,
    NETWORK_FLAT,
    NOTHING_KNOWN,
    QUICK,
    QUICK_FOR,
    RECENT,
    SLOWLY,
)
from .findings import Cleared, Finding, Hang, Straggler, Suspect
from .learning import END, Learned
from .patience import Standing, Surroundings, standing
from .places import Place
from .progress import Progress
from .stragglers import Stragglers
from .unknown import GuideRule, NpuRule

__all__ = ["Cleared", "Finding", "Hang", "State", "Straggler", "Suspect", "Watch"]


class State(Enum):
    CALM = auto()
    SUSPECT = auto()
    HUNG = auto()


class Watch:
    """Of one attempt. Feed it an observation about each second; sample stacks when `stacks_due` has come."""

    def __init__(self, learned: Learned | None = None, alone: bool = True) -> None:
        """``learned``: of the job's attempts before. ``alone``: all ranks of the job are on this node."""
        self.learned = Learned() if learned is None else learned
        self.state = State.CALM
        self.stacks_due: float | None = None  # on the monotonic clock; None: no stacks are wanted
        self._alone = alone
        self._clock = JobClock()
        self._progress: dict[int, Progress] = {}
        self._activity: dict[int, Activity] = {}
        self._places: dict[int, Place] = {}
        self._ahead: dict[int, dict[int, int]] = {}  # rank: marks of the others when it made its last
        self._suspects: tuple[int, ...] = ()
        self._since = 0.0  # of the suspicion
        self._network, self._network_at = 0, float("-inf")
        self._guide, self._npus, self._stragglers = GuideRule(), NpuRule(), Stragglers()

    # --- what happened ---

    def observe(self, evidence: Evidence) -> list[Finding]:
        paused = self._alone and bool(evidence.ranks) and all(_stopped(rank) for rank in evidence.ranks)
        passed = self._clock.advance(evidence, paused)
        if passed <= 0 and self._progress:
            return []
        moved = self._update(evidence, passed)
        findings: list[Finding] = []
        if self.state is not State.CALM and (moved & set(self._suspects) or not self._overdue()):
            findings.append(self._clear())
        if self.state is not State.HUNG and not paused:
            findings += self._suspect()
        if not paused:
            findings += self._judge()
            findings += self._stragglers.observe(evidence)
        return findings

    def stacks(self, at: float, samples: Sequence[Stack]) -> list[Finding]:
        """One sample of all ranks that could be looked at, taken at ``at`` on the monotonic clock."""
        if self.state is not State.SUSPECT:
            return []
        now = self._clock.later(at)
        for stack in samples:
            if stack.rank in self._progress:
                self._places.setdefault(stack.rank, Place()).see(stack, now)
        findings = self._judge(now)
        if self.state is State.SUSPECT:
            asked = at if self.stacks_due is None else self.stacks_due
            self.stacks_due = max(asked + self._interval(now), at + BREATH)
        return findings

    # --- what is known ---

    def _update(self, evidence: Evidence, passed: float) -> set[int]:
        """Takes ``evidence`` in; returns the ranks that have made progress."""
        present = {rank.rank for rank in evidence.ranks}
        for gone in self._progress.keys() - present:
            del self._progress[gone], self._activity[gone]
            self._places.pop(gone, None)
        moved = {rank.rank for rank in evidence.ranks if self._update_rank(rank, evidence.at)}
        marks = {number: progress.marks for number, progress in self._progress.items()}
        for number in moved:
            self._ahead[number] = marks
        if passed > 0 and (evidence.network - self._network) / passed >= NETWORK_FLAT:
            self._network_at = self._clock.now
        self._network = evidence.network
        self._guide.update(evidence, self._clock.now)
        self._npus.update(evidence, self._clock.now)
        return moved

    def _update_rank(self, rank: RankEvidence, at: float) -> bool:
        number, clock = rank.rank, self._clock
        if number not in self._progress:
            self._progress[number] = Progress(rank, clock)
            self._activity[number] = Activity(rank, clock.now, at)
            return True
        self._activity[number].update(rank, clock.now, at)
        return self._progress[number].update(rank, clock, self.learned)

    def _limit(self, phase: str) -> float:
        learned = self.learned.limit(phase)
        return NOTHING_KNOWN if learned is None else learned

    def _overdue(self) -> tuple[int, ...]:
        """The ranks that are suspect."""
        alive = {n: one for n, one in self._progress.items() if self._activity[n].alive}
        # An observation early: a suspicion comes by the limit, not up to an interval after it.
        late = {n for n, one in alive.items() if one.idle > self._limit(one.phase) - INTERVAL}
        if not late:
            return ()
        others = {n for n in alive.keys() - late if alive[n].phase != END}
        if not others:
            return tuple(sorted(late))
        return tuple(sorted(n for n in late if self._left_behind(n, others)))

    def _left_behind(self, number: int, others: set[int]) -> bool:
        then = self._ahead.get(number, {})
        return all(self._progress[n].marks - then.get(n, 0) >= AHEAD for n in others)

    # --- from state to state ---

    def _suspect(self) -> list[Finding]:
        suspects = self._overdue()
        if not suspects or (self.state is State.SUSPECT and suspects == self._suspects):
            return []
        if self.state is State.CALM:
            self._since, self._places = self._clock.now, {}
            self.stacks_due = self._clock.at
        self.state, self._suspects = State.SUSPECT, suspects
        phase, idle, limit = self._worst()
        return [Suspect(suspects, phase, idle, limit, self._why(phase, idle, limit))]

    def _clear(self) -> Cleared:
        ranks, self._suspects = self._suspects, ()
        self.state, self.stacks_due = State.CALM, None
        known = [self._progress[n] for n in ranks if n in self._progress]
        phase = known[0].phase if known else END
        return Cleared(ranks, phase, self._clock.now - self._since)

    def _judge(self, now: float | None = None) -> list[Finding]:
        if self.state is not State.SUSPECT:
            return []
        now = self._clock.now if now is None else now
        standings = self._standings(now)
        if not standings or not all(one.hangs for one in standings.values()):
            return []
        if any(self._places[number].ages(now) for number in standings if number in self._places):
            self.stacks_due = self._clock.at  # what was so a while ago may be over
            return []
        self.state, self.stacks_due = State.HUNG, None
        return [self._hang(standings)]

    def _standings(self, now: float) -> dict[int, Standing]:
        """Of the suspects. Whoever they may wait for is one of them, unless they were left behind."""
        return {number: self._standing(number, now) for number in self._suspects if number in self._progress}

    def _standing(self, number: int, now: float) -> Standing:
        phase = self._progress[number].phase
        around = Surroundings(
            now,
            self._since,
            self._limit(phase),
            self.learned.limit(phase) is not None,
            network=now - self._network_at < RECENT,
            level=self._guide.utilisation.level(),
            device=self._guide.utilisation.patience(),
            rest=self._guide.rests() or self._npus.rests(),
        )
        return standing(self._activity[number], self._places.get(number, Place()), around)

    def _hang(self, standings: dict[int, Standing]) -> Hang:
        phase, idle, limit = self._worst()
        words = [f"{_ranks([number])} {one.words}" for number, one in standings.items()]
        since = min(self._progress[number].at for number in standings)
        waiting = all(one.kind in ("waits", "unseen", "rests") for one in standings.values())
        culprits = _culprits(standings)
        evidence = (self._why(phase, idle, limit), *words)
        return Hang(self._suspects, culprits, phase, since, limit, evidence, waiting)

    def _worst(self) -> tuple[str, float, float]:
        """The phase, idle seconds on the wall's clock, and limit of the suspect that is most overdue."""
        suspects = [self._progress[number] for number in self._suspects if number in self._progress]
        worst = max(suspects, key=lambda one: one.idle / self._limit(one.phase))
        return worst.phase, (self._clock.at or 0.0) - worst.at, self._limit(worst.phase)

    def _why(self, phase: str, idle: float, limit: float) -> str:
        reason = self.learned.reason(phase)
        return f"no progress for {idle:.1f} s in phase {phase}; its limit is {limit:.1f} s, as {reason}"

    def _interval(self, now: float) -> float:
        """Seconds until the next sample. It is decisive when all have stood nearly as long as they may."""
        left = [one.patience - one.stood for one in self._standings(now).values()]
        remaining = max(left, default=0.0)
        settling = all(place.samples > 1 for place in self._places.values())
        decisive = remaining <= SLOWLY + CONFIRM or (remaining == inf and settling)
        return QUICK if decisive or now - self._since < QUICK_FOR else SLOWLY


def _stopped(rank: RankEvidence) -> bool:
    return bool(rank.states) and set(rank.states) <= {"T"}


def _culprits(standings: dict[int, Standing]) -> tuple[int, ...]:
    stopped = tuple(number for number, one in standings.items() if one.kind == "stopped")
    others = tuple(number for number, one in standings.items() if one.kind != "waits")
    return stopped or (others if len(others) < len(standings) else ())


def _ranks(numbers: Sequence[int]) -> str:
    return ("rank " if len(numbers) == 1 else "ranks ") + ", ".join(map(str, numbers))
