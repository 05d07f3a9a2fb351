"""How long each phase usually goes on without progress: learned as it runs, kept for its next attempt.

    start     before the first step        train     between steps
    end       after the script's main      unknown   steps cannot be counted
    any other name: a section of TrainingState

The usual longest is the second longest that was seen: one outlier is not usual, what happened twice is.
"""

from dataclasses import asdict, dataclass
from typing import Any

from .figures import ENOUGH_STEPS, ENOUGH_TIMES, FACTOR, FLOOR, SLOW_FLOOR

START, TRAIN, END, UNKNOWN = "start", "train", "end", "unknown"
_ONCE = (START, END)  # an attempt


@dataclass(slots=True)
class Durations:
    """Seconds without progress, of one phase."""

    count: int = 0
    longest: float = 0.0
    second: float = 0.0
    typical: float = 0.0  # a running mean of what was seen

    def add(self, seconds: float, times: int) -> None:
        """``times`` steps in ``seconds`` altogether, of which one may have taken most of the time."""
        mean = seconds / times
        usual = self.typical if self.count else mean
        self._note(max(mean, seconds - (times - 1) * usual))
        if times > 1:
            self._note(mean)
        self.count += times
        weight = 1.0 if self.count == times else min(max(times / self.count, 0.02), 0.1)
        self.typical += weight * (mean - self.typical)

    def _note(self, seconds: float) -> None:
        if seconds > self.longest:
            self.longest, self.second = seconds, self.longest
        elif seconds > self.second:
            self.second = seconds


class Learned:
    def __init__(self, limit: float | None = None) -> None:
        """``limit``: the user's own, in seconds, instead of what is learned."""
        self._limit = limit
        self._phases: dict[str, Durations] = {}

    def add(self, phase: str, seconds: float, times: int = 1) -> None:
        """``times`` marks of progress, the last of them ``seconds`` after the one before the first."""
        if seconds >= 0 and times > 0 and phase != UNKNOWN:
            self._phases.setdefault(phase, Durations()).add(seconds, times)

    def usual_longest(self, phase: str) -> float | None:
        """Seconds; None: not enough is known."""
        known = self._phases.get(phase)
        enough = 1 if phase in _ONCE else ENOUGH_STEPS if phase == TRAIN else ENOUGH_TIMES
        if known is None or known.count < enough:
            return None
        return known.longest if known.count < ENOUGH_STEPS else known.second

    def limit(self, phase: str) -> float | None:
        """Seconds without progress, beyond which ``phase`` is suspect; None: not enough is known."""
        usual = self.usual_longest(phase)
        if self._limit is not None:
            return self._limit
        if usual is None:
            return None
        return max(SLOW_FLOOR if phase in _ONCE else FLOOR, FACTOR * usual)

    def reason(self, phase: str) -> str:
        """Why the limit of ``phase`` is what it is."""
        usual = self.usual_longest(phase)
        if self._limit is not None:
            return "as you said"
        if usual is None:
            return "nothing is known of it yet"
        return f"its usual longest is {usual:.1f} s"

    def as_dict(self) -> dict[str, Any]:
        return {name: asdict(durations) for name, durations in self._phases.items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any], limit: float | None = None) -> "Learned":
        """Raises ValueError for what `as_dict` did not make."""
        learned = cls(limit)
        for name, fields in data.items():
            try:
                durations = Durations(int(fields["count"]), *(float(fields[key]) for key in _SECONDS))
            except (TypeError, KeyError, ValueError) as error:
                raise ValueError(f"learned durations of {name!r}: found {fields!r}") from error
            if durations.count < 0 or not all(0 <= getattr(durations, key) < 1e9 for key in _SECONDS):
                raise ValueError(f"learned durations of {name!r}: found {fields!r}, not seconds of the past")
            learned._phases[str(name)] = durations
        return learned


_SECONDS = ("longest", "second", "typical")
