"""(c) SIGKILL of rank 1: until it is noticed, and until the next attempt's first line.

For a worker with little memory and for one with much: the kernel tells a parent of a child's end
only when its memory has been freed.
"""

import os
import random
import signal
import sys
import time

import psutil

from benchmarks.measure import Quantity, Recorder, Row, Values
from benchmarks.processes import Job, RoundFailed
from benchmarks.sides import OURS, TORCHRUN, Side
from ma_training.events import read_events

VICTIM = 1
LARGE = 12 * 10**9  # bytes
LEFT_FREE = 4 * 10**9  # beside them, or the machine would be out of memory and not measured
READY_WITHIN, ENDED_WITHIN = 240.0, 90.0  # touching 12 GB for the first time takes up to a minute
SETTLE, JITTER = 1.5, 0.5  # at any phase of whatever a launcher does at intervals
ROUNDS, ROUNDS_LARGE = 10, 3
OPTIONS = ("--max-restarts", "3")  # and each side's own monitor interval
NOTICED = ("worker.dying", "worker.exited", "worker.failed")


def size_of_large() -> int:
    """The memory that a large worker holds on this machine."""
    return max(0, min(LARGE, psutil.virtual_memory().available - LEFT_FREE))


def one_round(side: Side, job: Job, size: int) -> Values:
    job.start(side.invocations("victim.py", [job.out, size], OPTIONS))
    victim = job.wait_ready(READY_WITHIN)[VICTIM]
    time.sleep(SETTLE + random.uniform(0, JITTER))
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    ended = job.wait(ENDED_WITHIN)
    values = {
        "survivor_told": job.first("sigterm", 0, [1 - VICTIM]) - killed,
        "restarted": job.first("first", 1) - killed,
        "ended": ended - killed,
    }
    if side is OURS:
        values["noticed"] = _noticed(job) - killed
    if job.record("first", 2, 0) or job.record("first", 2, 1):
        raise RoundFailed("there was a third attempt")
    return values


def _noticed(job: Job) -> float:
    """When the launcher knew of it, by its own account, in the same clock as ours."""
    times = [
        event.t_mono
        for directory in job.directory.glob("runs/*/events")
        for event in read_events(directory)
        if event.kind in NOTICED and (event.attempt, event.rank) == (0, VICTIM)
    ]
    if not times:
        raise RoundFailed(f"no event {', '.join(NOTICED)} of rank {VICTIM}")
    return min(times)


def run(recorder: Recorder, rounds: int | None) -> list[Row]:
    rows = _run_size(recorder, "c-small", "small", 0, rounds or ROUNDS)
    size = size_of_large()
    if size < LARGE:
        print(f"c-large: scaled down to {size / 1e9:.1f} GB, memory is short here", file=sys.stderr)
    return rows + _run_size(recorder, "c-large", f"{size / 1e9:.3g} GB", size, rounds or ROUNDS_LARGE)


def _run_size(recorder: Recorder, item: str, label: str, size: int, rounds: int) -> list[Row]:
    def sized_round(side: Side, job: Job) -> Values:
        return one_round(side, job, size)

    recorder.alternate(item, [OURS, TORCHRUN], rounds, sized_round, warm_up=False)
    noticed = Quantity(f"c  {label}: SIGKILL to noticed (event)", item, "noticed", "ms", 1e3, most=10)
    told = Quantity(f"c  {label}: SIGKILL to survivor's SIGTERM", item, "survivor_told", "ms", 1e3)
    restarted = Quantity(f"c  {label}: SIGKILL to restarted", item, "restarted", "s", most_ratio=0.25)
    return [
        noticed.row(recorder, OURS, None),
        told.row(recorder, OURS, TORCHRUN),
        restarted.row(recorder, OURS, TORCHRUN),
    ]
