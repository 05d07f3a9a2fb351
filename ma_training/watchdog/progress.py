"""How far a rank has come, and since when it has not come further."""

from .clock import JobClock
from .evidence import RankEvidence
from .figures import WARM_UP
from .learning import END, START, TRAIN, UNKNOWN, Learned

_MAIN, _ATEXIT = 2, 3  # bootstrap's Phase


def phase_of(rank: RankEvidence) -> str:
    if rank.phase is None:
        return UNKNOWN
    if rank.phase >= _ATEXIT:
        return END
    if rank.section:
        return rank.section
    if rank.steps or rank.beats:
        return TRAIN
    return UNKNOWN if rank.steps is None and rank.phase >= _MAIN else START


class Progress:
    """Of one rank in one attempt. Times are the job's."""

    def __init__(self, rank: RankEvidence, clock: JobClock) -> None:
        self.last = rank
        self.phase = phase_of(rank)
        self.since = clock.now
        self.at = max([time for time in _times(rank) if time is not None], default=clock.at or 0.0)
        self.marks = 0  # of progress, in this watch
        self.idle = 0.0
        self._steps = 0
        self._start = 0.0  # the longest that this start went on without progress

    def update(self, rank: RankEvidence, clock: JobClock, learned: Learned) -> bool:
        """Whether there is progress since the last observation; durations go to ``learned``."""
        last, self.last = self.last, rank
        before = phase_of(last)
        self.phase = phase_of(rank)
        steps = max((rank.steps or 0) - (last.steps or 0), rank.beats - last.beats, 0)
        moved = self.phase != before or rank.section_at != last.section_at
        moved |= rank.phase != last.phase or (rank.steps is None) != (last.steps is None)
        if steps or moved:
            self._mark(before, steps, rank, last, clock, learned)
        self.idle = clock.now - self.since
        return bool(steps or moved)

    def _mark(
        self,
        before: str,
        steps: int,
        rank: RankEvidence,
        last: RankEvidence,
        clock: JobClock,
        learned: Learned,
    ) -> None:
        changed = [new for new, old in zip(_times(rank), _times(last), strict=True) if new != old]
        at = max((time for time in changed if time is not None), default=clock.at or 0.0)
        if not rank.section and last.section and not steps:
            at = clock.at or at  # when it was left is not told
        now = max(clock.when(at), self.since)
        if not (before == TRAIN and self._steps < WARM_UP):
            self._learn(before, now - self.since, max(steps, 1), learned)
        self._steps += steps
        self.marks += max(steps, 1)
        self.since, self.at = now, max(at, self.at)

    def _learn(self, phase: str, seconds: float, times: int, learned: Learned) -> None:
        if phase != START:
            learned.add(phase, seconds, times)
            return
        # Of parts of a start the whole must not be judged: imports are quick, and a first step is not.
        self._start = max(self._start, seconds)
        if self.phase == TRAIN:
            learned.add(START, self._start)


def _times(rank: RankEvidence) -> tuple[float | None, ...]:
    return rank.step_at, rank.beat_at, rank.section_at
