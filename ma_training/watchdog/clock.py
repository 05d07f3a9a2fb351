"""The job's own clock: it stands while the whole job, or its watcher, stands; throttled, it is slow."""

from .evidence import Evidence
from .figures import GAP, INTERVAL, THROTTLED_PACE


class JobClock:
    def __init__(self) -> None:
        self.now = 0.0
        self.at: float | None = None  # the same moment on the monotonic clock
        self._before: tuple[float, float] = (0.0, 0.0)  # the observation before: now, at
        self._throttled = 0.0

    def advance(self, evidence: Evidence, paused: bool) -> float:
        """Seconds of the monotonic clock since the last observation; 0 for the first, or for the past."""
        if self.at is None:
            self.at, self._before = evidence.at, (0.0, evidence.at)
            self._throttled = evidence.throttled
            return 0.0
        passed = evidence.at - self.at
        if passed <= 0:
            return 0.0
        self._before = (self.now, self.at)
        self.now += 0.0 if paused else self._counted(passed, evidence.throttled - self._throttled)
        self.at, self._throttled = evidence.at, evidence.throttled
        return passed

    def when(self, at: float | None) -> float:
        """The job's time at ``at``, which is since the observation before the last."""
        if at is None or self.at is None or at >= self.at:
            return self.now
        now, before = self._before
        if at <= before or self.at <= before:
            return now
        return now + (self.now - now) * (at - before) / (self.at - before)

    def later(self, at: float) -> float:
        """The job's time at ``at``, after the last observation."""
        return self.now + (0.0 if self.at is None else min(max(at - self.at, 0.0), GAP))

    def _counted(self, passed: float, throttled: float) -> float:
        if passed > GAP:
            return INTERVAL
        share = min(max(throttled, 0.0) / passed, 1.0)
        return passed * max(1.0 - share, THROTTLED_PACE)
