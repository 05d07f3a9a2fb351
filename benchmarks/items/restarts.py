"""(f) Clean restarts of a DDP job: rank 1 dies once, and the second attempt does all of the work."""

import time

from benchmarks.measure import Recorder, Row, Values
from benchmarks.processes import Job, RoundFailed
from benchmarks.sides import OURS, TORCHRUN, TORCHRUN_OWN_STORE, Side

LIMIT = 60.0
STEPS, FATAL_STEP = 40, 10
TRIALS = 50
# A peer's trial takes several times as long as one of ours, and hangs for the whole limit at times.
PEERS = ((TORCHRUN_OWN_STORE, 5), (TORCHRUN, 10))  # after every how many of ours
OPTIONS = ("--max-restarts", "3")


def one_trial(side: Side, job: Job) -> Values:
    """Raises RoundFailed for a trial that is not clean."""
    begun = time.monotonic()
    job.start(side.invocations("train.py", [job.out, STEPS, FATAL_STEP], OPTIONS))
    ended = job.wait(LIMIT)
    done = sorted(path.name for path in job.out.glob("done.*"))
    if done != ["done.1.0", "done.1.1"]:
        raise RoundFailed(f"exit code 0, but what was reported is {done}")
    return {"wall": ended - begun}


def run(recorder: Recorder, trials: int) -> list[Row]:
    for number in range(1, trials + 1):
        _trial(recorder, OURS, number, trials)
        for side, every in PEERS:
            if number % every == 0 or (number == trials < every):
                _trial(recorder, side, -(-number // every), max(1, trials // every))
    return [_row(recorder, side) for side, _ in PEERS]


def _trial(recorder: Recorder, side: Side, number: int, of: int) -> None:
    sample = recorder.run("f", side, number, one_trial)
    recorder.say_trial(f"f trial {number}/{of}", sample)


def _row(recorder: Recorder, peer: Side) -> Row:
    clean, trials = _count(recorder, OURS)
    target = f"{trials} of {trials}"
    return Row(
        f"f  clean restarts; beside: {peer.name}",
        f"{clean} of {trials}",
        "{} of {}".format(*_count(recorder, peer)),
        target=target,
        reached="yes" if clean == trials else "no",
    )


def _count(recorder: Recorder, side: Side) -> tuple[int, int]:
    samples = recorder.of("f", side)
    return sum(sample.failed is None for sample in samples), len(samples)
