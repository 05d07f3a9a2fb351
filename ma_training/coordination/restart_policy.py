"""Whether a failed job is worth another attempt, and after how long: a pure function of its history.

One budget for the whole job. The first restart comes at once, useless ones later and later, and
two failures in a row with one cause and no progress between them end the job: a third would only
burn machines. Hangs in a row may be three: what hangs at one time often does not at another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ma_training.diagnosis import WorkerFailure
from ma_training.job import format_duration

SHORT_ATTEMPT = 60.0  # seconds: where steps cannot be counted, an attempt this short got nowhere
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
FREE_RETRIES = 3
HANGS = 3  # in a row, without progress


@dataclass(frozen=True, slots=True)
class Failure:
    """How one attempt ended."""

    cause: str  # equal for "the same thing happened again"
    seconds: float  # from the attempt's start
    steps: int | None = None  # the most that any rank did in this attempt; None where unknown
    external: bool = False  # a signal from outside: says nothing about the program
    deliberate: bool = False  # the user ended it at a prompt
    free: bool = False  # the launcher's own bad luck (a port was taken): not the job's budget
    hang: bool = False
    final: bool = False  # the user wants no restart after such a failure

    @classmethod
    def of(cls, failure: WorkerFailure, seconds: float, steps: int | None) -> "Failure":
        """An attempt's, of which ``failure`` was the root cause."""
        return cls(
            failure.fingerprint,
            seconds,
            steps,
            failure.external,
            failure.deliberate,
            failure.port_taken,
            bool(failure.hang),
            failure.final,
        )

    @property
    def progressed(self) -> bool:
        return self.seconds >= SHORT_ATTEMPT if self.steps is None else self.steps > 0


@dataclass(frozen=True, slots=True)
class Restart:
    delay: float  # seconds
    number: int  # restarts used, this one included


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


def decide(failures: Sequence[Failure], max_restarts: int) -> Restart | GiveUp:
    """What to do after the last of ``failures``, which are all of the job's, oldest first."""
    last = failures[-1]
    free = sum(failure.free for failure in failures)
    used = len(failures) - min(free, FREE_RETRIES)
    if last.free and free <= FREE_RETRIES:
        return Restart(0.0, used)
    if last.deliberate:
        return GiveUp("you quit the debugger")
    if last.final:
        return GiveUp("no restart is wanted after a hang (--on-hang stop)")
    if max_restarts == 0:
        return GiveUp("no restarts are allowed (--max-restarts 0)")
    if used > max_restarts:
        return GiveUp(f"all {max_restarts} restarts are used up (--max-restarts)")
    if last.hang:
        if (hangs := _hangs_in_vain(failures)) >= HANGS:
            return GiveUp(f"{hangs} hangs in a row without progress")
    elif len(failures) > 1 and (why := _stuck(failures[-2], last)):
        return GiveUp(why)
    return Restart(_delay(failures), used)


def _stuck(before: Failure, last: Failure) -> str | None:
    if before.cause != last.cause or before.free or last.free:
        return None
    if last.steps is None or before.steps is None:
        if last.external or last.progressed or before.progressed:
            return None
        longest = max(before.seconds, last.seconds)
        return f"the same failure twice in a row, both within {format_duration(longest)} of the start"
    if last.steps == 0 == before.steps:
        return "the same failure twice in a row, both before the first step"
    if last.steps == before.steps:
        return f"the same failure twice in a row, both after {last.steps} steps"
    return None


def _hangs_in_vain(failures: Sequence[Failure]) -> int:
    """Hangs at the end of the history, each of which did not a step more than the one before it, or none."""
    count = 1
    for before, after in zip(failures[-2::-1], failures[::-1], strict=False):
        in_vain = after.steps in (0, before.steps) if after.steps is not None else not after.progressed
        if not (before.hang and in_vain):
            break
        count += 1
    return count


def _delay(failures: Sequence[Failure]) -> float:
    streak = 0
    for failure in reversed(failures):
        if failure.progressed:
            break
        streak += 1
    return 0.0 if streak <= 1 else min(FIRST_DELAY * 2.0 ** min(streak - 2, 10), LONGEST_DELAY)
