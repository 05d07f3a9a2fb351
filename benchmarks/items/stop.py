"""(d) SIGTERM to the command, with a worker that ignores it: until every process is gone."""

import os
import signal
import time

import psutil

from benchmarks.measure import Quantity, Recorder, Row, Values
from benchmarks.processes import Job, living, wait_for_ends
from benchmarks.sides import OURS, TORCHRUN, Side

READY_WITHIN, GONE_WITHIN = 60.0, 60.0
SETTLE = 0.5
GRACE = 5
ROUNDS = 3
OPTIONS = ("--shutdown-timeout", str(GRACE))
GONE = Quantity(f"d  SIGTERM to all gone, grace {GRACE} s", "d", "gone", "s", most=GRACE + 1)


def one_round(side: Side, job: Job) -> Values:
    job.start(side.invocations("sleeper.py", [job.out, "stubborn"], OPTIONS))
    job.wait_ready(READY_WITHIN)
    time.sleep(SETTLE)
    begun = time.monotonic()
    running = _everything()  # before the signal: what ends at once has ended, too
    os.kill(job.pid, signal.SIGTERM)
    while running:  # again: something may have been started meanwhile
        wait_for_ends([process.pid for process in running], begun + GONE_WITHIN - time.monotonic())
        ended = time.monotonic()
        running = _everything()
    return {"gone": ended - begun}


def _everything() -> list[psutil.Process]:
    """All living descendants: those that lost their parents have become this process's own."""
    return living(psutil.Process().children(recursive=True))


def run(recorder: Recorder, rounds: int | None) -> list[Row]:
    recorder.alternate("d", [OURS, TORCHRUN], rounds or ROUNDS, one_round, warm_up=False)
    return [GONE.row(recorder, OURS, TORCHRUN)]
