"""(b) Memory of all processes that are not workers, while the workers sleep."""

import time

import psutil

from benchmarks.measure import Quantity, Recorder, Row, Values
from benchmarks.processes import Job, RoundFailed, living
from benchmarks.sides import OURS, TORCHRUN, Side

LIMIT = 60.0
SETTLE = 1.5
ROUNDS = 5
ROWS = (
    Quantity("b  memory beside the workers (PSS)", "b", "pss", "MB", 1e-6, most_ratio=0.25),
    Quantity("b  the same, pages of its own (USS)", "b", "uss", "MB", 1e-6),
    Quantity("b  processes beside the workers", "b", "processes", "processes"),
)


def one_round(side: Side, job: Job) -> Values:
    job.start(side.invocations("sleeper.py", [job.out]))
    workers = [psutil.Process(pid) for pid in job.wait_ready(LIMIT)]
    time.sleep(SETTLE)
    excluded = {process.pid for worker in workers for process in (worker, *worker.children(recursive=True))}
    command = psutil.Process(job.pid)
    everything = [command, *command.children(recursive=True)]
    if not {worker.pid for worker in workers} <= {process.pid for process in everything}:
        raise RoundFailed("a worker is no descendant of the command")
    others = living(process for process in everything if process.pid not in excluded)
    memory = [process.memory_full_info() for process in others]
    return {
        "pss": sum(each.pss for each in memory),
        "uss": sum(each.uss for each in memory),
        "processes": len(others),
    }


def run(recorder: Recorder, rounds: int | None) -> list[Row]:
    recorder.alternate("b", [OURS, TORCHRUN], rounds or ROUNDS, one_round, warm_up=False)
    return [quantity.row(recorder, OURS, TORCHRUN) for quantity in ROWS]
