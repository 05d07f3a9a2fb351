"""(g) What it costs to show the lines of 8 chatty workers; (h) an exception until all has been said of it."""

import os
import time

import psutil

from benchmarks.measure import Quantity, Recorder, Row, Values
from benchmarks.processes import Job, RoundFailed, wait_for_ends, wait_until
from benchmarks.sides import OURS, TORCHRUN, Side

WORKERS, RATE, SECONDS = 8, 1.25, 8.0  # 10 MB/s together
ENDS_WITHIN = 60.0
ROUNDS = 5
SHOWN = {
    OURS.name: ("--local-ranks-filter", ",".join(map(str, range(WORKERS)))),
    TORCHRUN.name: ("--tee", "3", "--log-dir", "logs"),
}
COST = Quantity("g  console, 8 workers: core per 10 MB/s", "g", "core", "%", scale=100, most=5)
SAID = Quantity("h  exception to end of the command", "h", "said", "s", most=1)


def chatty_round(side: Side, job: Job) -> Values:
    options = ("--nproc-per-node", str(WORKERS), *SHOWN[side.name])
    job.start(side.invocations("chatty.py", [job.out, RATE, SECONDS], options))
    launcher = psutil.Process(job.pid)
    wait_until(lambda: all(job.record("ready", 0, rank) for rank in range(WORKERS)), 60.0, "workers ready")
    before = launcher.cpu_times()
    wait_until(lambda: bool(job.record("written", 0, 0)), SECONDS + 30, "rank 0 to have written all")
    after = launcher.cpu_times()
    job.wait(ENDS_WITHIN)
    written = sum(job.first("written", 0, [rank]) for rank in range(WORKERS))
    shown = os.path.getsize(job.directory / "output")  # noqa: PTH202
    if shown < written:
        raise RoundFailed(f"{shown} bytes shown of {written:.0f} written")
    cpu = after.user + after.system - before.user - before.system
    return {"core": cpu / (written / 1e7), "cpu": cpu, "written": written}


def raising_round(side: Side, job: Job) -> Values:
    job.start(side.invocations("raises.py", [job.out], ("--max-restarts", "0")))
    job.wait_ready(60.0)
    wait_for_ends([job.pid], ENDS_WITHIN)
    return {"said": time.monotonic() - job.first("raised", 0, [1])}


def run(recorder: Recorder, rounds: int | None) -> list[Row]:
    recorder.alternate("g", [OURS, TORCHRUN], rounds or ROUNDS, chatty_round, warm_up=False)
    recorder.alternate("h", [OURS, TORCHRUN], rounds or ROUNDS, raising_round)
    return [COST.row(recorder, OURS, TORCHRUN), SAID.row(recorder, OURS, TORCHRUN)]
