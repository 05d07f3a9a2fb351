"""Ranks for which the others wait again and again.

    pace       steps a second: where ranks do not wait for each other
    lateness   who does the same step later: where an all-reduce is asynchronous (NCCL), its dispatch shows it
    waking     share of the time with a running thread: where who waits sleeps (gloo), the slow one does not
    sections   how long the same section took

All are expressed as one factor: a rank's time for its own work in a step, over the median of its peers'.
Where ranks spin while they wait, and read a result at each step, none of them shows anything.
"""

from collections.abc import Mapping

from .evidence import Evidence, RankEvidence
from .figures import (
    COMPARABLE,
    INTERVAL,
    LONG_SECTION,
    PAUSE,
    PEERS_REST,
    SLOW,
    SLOW_NO_MORE,
    WINDOW,
    WINDOW_STEPS,
    WINDOWS,
)
from .findings import Straggler
from .learning import TRAIN
from .middle import median
from .progress import phase_of


class Stragglers:
    """Feed it each observation; it says who becomes one, and who is one no more."""

    def __init__(self) -> None:
        self._window: _Window | None = None
        self._sections = _Sections()
        self._rows: dict[tuple[int, str], list[float]] = {}  # factors in a row that speak for a change
        self._slow: set[tuple[int, str]] = set()

    def observe(self, evidence: Evidence) -> list[Straggler]:
        found: list[Straggler] = []
        for section, factors in self._sections.update(evidence):
            found += self._judge(section, factors)
        if not _all_train(evidence):
            self._window = None  # an evaluation in between would be counted as one rank's slowness
        elif self._window is None or self._window.ranks != {rank.rank for rank in evidence.ranks}:
            self._window = _Window(evidence)
        else:
            self._window.add(evidence)
            if self._window.full(evidence):
                found += self._judge(TRAIN, self._window.factors(evidence))
                self._window = _Window(evidence)
        return found

    def _judge(self, phase: str, factors: Mapping[int, float]) -> list[Straggler]:
        found = []
        for rank, factor in factors.items():
            key = rank, phase
            slow = key in self._slow
            speaks = factor < SLOW_NO_MORE if slow else factor >= SLOW
            row = self._rows[key] = [*self._rows.get(key, ()), factor] if speaks else []
            if len(row) == WINDOWS:
                self._rows[key] = []
                self._slow ^= {key}
                found.append(Straggler(rank, median(row), phase, over=slow))
        return found


def _all_train(evidence: Evidence) -> bool:
    return len(evidence.ranks) > 1 and all(rank.steps and phase_of(rank) == TRAIN for rank in evidence.ranks)


class _Window:
    """Some observations of the same ranks, all of them between steps."""

    def __init__(self, first: Evidence) -> None:
        self.first = first
        self.ranks = {rank.rank for rank in first.ranks}
        self._seen = 0
        self._longest = 0.0  # seconds without a step of any rank
        self._awake = dict.fromkeys(self.ranks, 0)
        self._late: dict[int, list[float]] = {rank: [] for rank in self.ranks}

    def add(self, evidence: Evidence) -> None:
        self._seen += 1
        for rank in evidence.ranks:
            self._awake[rank.rank] += bool(set(rank.states) & set("RD"))
        times = [rank.step_at for rank in evidence.ranks if rank.step_at is not None]
        self._longest = max(self._longest, evidence.at - max(times, default=evidence.at))
        if len({rank.steps for rank in evidence.ranks}) == 1 and len(times) == len(evidence.ranks):
            for rank, at in zip(evidence.ranks, times, strict=True):
                self._late[rank.rank].append(at - median(times))

    def full(self, last: Evidence) -> bool:
        before = {rank.rank: rank.steps or 0 for rank in self.first.ranks}
        steps = min((rank.steps or 0) - before[rank.rank] for rank in last.ranks)
        return last.at - self.first.at >= WINDOW and steps >= WINDOW_STEPS

    def factors(self, last: Evidence) -> dict[int, float]:
        """Of each rank; {} where there is nothing to compare."""
        before = {rank.rank: rank for rank in self.first.ranks}
        seconds = {rank.rank: _per_step(before[rank.rank], rank) for rank in last.ranks}
        known = {rank: time for rank, time in seconds.items() if time is not None}
        if len(known) < max(2, len(self.ranks)) or self._longest > PAUSE * median(known.values()) + INTERVAL:
            return {}
        factors = {}
        for rank, time in known.items():
            pace = time / median(known[other] for other in known if other != rank)
            factors[rank] = max(pace, self._lateness(rank, time), self._waking(rank))
        return factors

    def _lateness(self, rank: int, period: float) -> float:
        late = self._late[rank]
        own = median(late) if len(late) >= COMPARABLE else 0.0
        return period / (period - own) if 0 < own < period else 1.0

    def _waking(self, rank: int) -> float:
        shares = {number: awake / self._seen for number, awake in self._awake.items()}
        peers = median(share for number, share in shares.items() if number != rank)
        return shares[rank] / max(peers, 1 / self._seen) if peers <= PEERS_REST <= shares[rank] else 1.0


def _per_step(before: RankEvidence, after: RankEvidence) -> float | None:
    """Seconds; None: too few steps to tell."""
    steps = (after.steps or 0) - (before.steps or 0)
    if steps <= 0 or after.step_at is None or before.step_at is None:
        return None
    return (after.step_at - before.step_at) / steps


class _Sections:
    """How long each rank took for the same section, the first time, the second time, ..."""

    def __init__(self) -> None:
        self._last: dict[int, RankEvidence] = {}
        self._took: dict[str, dict[int, list[float]]] = {}

    def update(self, evidence: Evidence) -> list[tuple[str, dict[int, float]]]:
        """The factors of sections that the last rank has just left."""
        left = set()
        for rank in evidence.ranks:
            last = self._last.get(rank.rank)
            self._last[rank.rank] = rank
            if last and last.section and last.section_at is not None and rank.section != last.section:
                took = self._took.setdefault(last.section, {})
                took.setdefault(rank.rank, []).append(evidence.at - last.section_at)
                left.add(last.section)
        ranks = {rank.rank for rank in evidence.ranks}
        return [(section, factors) for section in sorted(left) if (factors := self._compare(section, ranks))]

    def _compare(self, section: str, ranks: set[int]) -> dict[int, float]:
        took = self._took[section]
        if len(ranks) < 2 or ranks - took.keys():
            return {}
        times = {rank: took[rank][0] for rank in ranks}
        for rank in ranks:
            del took[rank][0]
            if not took[rank]:
                del took[rank]
        if median(times.values()) < LONG_SECTION:
            return {}
        return {
            rank: time / median(times[other] for other in times if other != rank)
            for rank, time in times.items()
        }
