"""(a) From the command to a worker's first line."""

from benchmarks.measure import Quantity, Recorder, Row, Values
from benchmarks.processes import Job
from benchmarks.sides import OURS, TORCHRUN, Side

LIMIT = 60.0
ROUNDS = 10
ROWS = (
    Quantity("a  command to worker's first line", "a", "first_line", "s", most_ratio=0.2),
    Quantity("a  the whole command", "a", "whole", "s"),
)


def one_round(side: Side, job: Job) -> Values:
    job.start(side.invocations("first_line.py", [job.out]))
    ended = job.wait(LIMIT)
    return {"first_line": job.first("first", 0) - job.started, "whole": ended - job.started}


def run(recorder: Recorder, rounds: int | None) -> list[Row]:
    recorder.alternate("a", [OURS, TORCHRUN], rounds or ROUNDS, one_round)
    return [quantity.row(recorder, OURS, TORCHRUN) for quantity in ROWS]
