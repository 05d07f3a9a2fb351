"""Looks into workers and explains what they are doing: for the watchdog, and for `launcher dump`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ma_training.watchdog.culprit import Explanation, explain
from ma_training.watchdog.flight_recorder import gather
from ma_training.watchdog.process_tree import tree_of
from ma_training.watchdog.stacks import TIMEOUT, Subject, take

from .asked import RecordAsked, StacksAsked
from .telemetry import Telemetry, TelemetryPage

RECORDER_TIMEOUT = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Looked:
    """A worker. ``page``: None for a program that has none."""

    rank: int
    pid: int
    page: TelemetryPage | None


def look(
    workers: Sequence[Looked], timeout: float = TIMEOUT, native: bool = False, ended: Sequence[int] = ()
) -> Explanation:
    """Takes at most ``timeout`` and RECORDER_TIMEOUT; from a thread, so that no loop waits meanwhile.

    ``ended``: ranks, of this node or another, whose script is over while these go on.
    """
    subjects = [
        Subject(one.rank, one.pid, StacksAsked(one.page) if one.page else None, tuple(tree_of(one.pid)))
        for one in workers
    ]
    samples = take(subjects, timeout, native)
    asked = {one.rank: (one.pid, RecordAsked(one.page)) for one in workers if one.page}
    recorder = gather(asked, RECORDER_TIMEOUT)
    return explain(samples, recorder, _idle(workers), ended)


def _idle(workers: Sequence[Looked]) -> dict[int, float]:
    """For how many seconds each rank has done nothing new, where that is known."""
    now = time.monotonic()
    newest = {one.rank: got_on_at(one.page.read()) for one in workers if one.page}
    return {rank: now - at for rank, at in newest.items() if at is not None}


def got_on_at(says: Telemetry) -> float | None:
    """When a worker last was known to get on, seconds of the monotonic clock."""
    return max((at for at in (says.step_at, says.beat_at, says.section_at) if at is not None), default=None)
