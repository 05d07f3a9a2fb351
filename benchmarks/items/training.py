"""(e) What the launcher costs a training script, beside the same processes started by hand."""

import os

from benchmarks.measure import Quantity, Recorder, Row, Values
from benchmarks.processes import Job, RoundFailed
from benchmarks.sides import BY_HAND, OURS, TORCHRUN_SAME_THREADS, Side

LIMIT = 180.0
STEPS = 300
ROUNDS = 7
BESIDE_NONE = Quantity(
    "e  DDP script; beside: by hand; ratio: median of rounds'", "e", "wall", "s", most_ratio=1.05, paired=True
)
CPU_BESIDE_NONE = Quantity("e  its CPU time; beside: by hand", "e", "cpu", "s", paired=True)
BESIDE_TORCHRUN = Quantity("e  DDP script; beside: torchrun", "e", "wall", "s", paired=True)


def one_round(side: Side, job: Job) -> Values:
    spent = _cpu_of_the_ended()
    job.start(side.invocations("train.py", [job.out, STEPS]))
    ended = job.wait(LIMIT)
    if not all(job.record("done", 0, rank) == [STEPS] for rank in (0, 1)):
        raise RoundFailed(f"not trained to the end: {job.last_words()}")
    return {"wall": ended - job.started, "cpu": _cpu_of_the_ended() - spent}


def _cpu_of_the_ended() -> float:
    """Seconds of all descendants that were waited for: what others do on the machine blurs it less."""
    times = os.times()
    return times.children_user + times.children_system


def run(recorder: Recorder, rounds: int | None) -> list[Row]:
    recorder.alternate("e", [OURS, BY_HAND, TORCHRUN_SAME_THREADS], rounds or ROUNDS, one_round)
    return [
        BESIDE_NONE.row(recorder, OURS, BY_HAND),
        CPU_BESIDE_NONE.row(recorder, OURS, BY_HAND),
        BESIDE_TORCHRUN.row(recorder, OURS, TORCHRUN_SAME_THREADS),
    ]
