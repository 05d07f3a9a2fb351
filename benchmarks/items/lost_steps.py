"""Steps that have to be done again after a job's worker, or the job, was ended at a random moment."""

import os
import random
import signal
import time

from benchmarks.measure import Recorder, Values
from benchmarks.processes import Invocation, Job, RoundFailed, wait_for_ends, wait_until
from benchmarks.sides import OURS, WORKLOADS, Side, user_environment

LIMIT = 120.0  # seconds
SPREAD = 0.5  # seconds from the twentieth step on within which the end comes
ITEM = "lost"
WAYS = {"exception": 0, "SIGTERM": 0, "SIGKILL": 1}  # and the steps that each may cost


def run(recorder: Recorder, trials: int) -> None:
    recorder.alternate(ITEM, [Side(way, OURS.program) for way in WAYS], trials, one_round, warm_up=False)


def one_round(side: Side, job: Job) -> Values:
    """``side`` is named for the way to end. SIGTERM goes to the job, which is then run a second time."""
    _start(side, job)
    if side.name != "exception":
        wait_until((job.out / "ready").exists, LIMIT, "20 steps")
        time.sleep(random.uniform(0, SPREAD))
    if side.name == "SIGKILL":
        os.kill(int((job.out / "ready").read_text()), signal.SIGKILL)
    if side.name == "SIGTERM":
        os.kill(job.pid, signal.SIGTERM)
        wait_for_ends([job.pid], LIMIT)
        _start(side, job)
    wait_until((job.out / "resumed").exists, LIMIT, "the script to resume")
    done, resumed = ((job.out / name).read_text() for name in ("done", "resumed"))
    if not resumed:
        raise RoundFailed("resumed, but at no step")
    return {"lost": int(done) - int(resumed)}


def _start(side: Side, job: Job) -> None:
    words = ["--nproc-per-node", "1", str(WORKLOADS / "committer.py"), str(job.out), side.name]
    job.start([Invocation([*side.program, *words], user_environment())])
