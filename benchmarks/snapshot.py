"""``python -m benchmarks.snapshot``: what a copy of the training state at each step costs.

a   the stall of state.commit() beside one block copy of as many bytes (the limit), the same into three places
    in turn, torch.save to /dev/shm, torch.distributed.checkpoint.async_save (until it returns), and DLRover's
    flash checkpoint
b   TrainingState() and restore() from memory, in a worker's process that has its modules and its model and
    has restored nothing before, under an agent, beside the same block copy
c   steps lost where real jobs end by an exception, SIGTERM to the job, and SIGKILL of a worker

Each side has a fresh process each round, which gives the median of its repetitions; rounds run all sides in
turn. A ratio is the median of the rounds' own. The exit code is 1 where a target is missed.
"""

import argparse
import importlib.util
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from .items import lost_steps
from .items.stall import CASES
from .measure import Recorder, Series, Values
from .processes import Invocation, Job, become_subreaper, end_all
from .sides import Side, user_environment

LIMIT = 300.0  # seconds of one process
BLOCK, TURNS, OURS, RESTORE = "memcpy", "turns", "commit", "restore"
PEERS = ("torch.save", "async_save", "dlrover")
MOST_LARGE, MOST_SMALL, MOST_RESTORE, MOST_OF_SAVE = 1.25, 3.0, 2.0, 0.1
SMALL = "5,000 x 16 KB"


@dataclass(frozen=True)
class Line:
    """Of the table."""

    what: str
    value: str
    block: str = ""  # the limit's
    ratio: str = ""
    target: str = ""
    reached: str = ""


def main(words: Sequence[str] | None = None) -> int:
    options = _options(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    become_subreaper()
    begun = time.monotonic()
    print(f"{platform.platform()} Python {platform.python_version()} {os.cpu_count()} cores", file=sys.stderr)
    sides = [BLOCK, TURNS, OURS, RESTORE, *(peer for peer in PEERS if _installed(peer))]
    with tempfile.TemporaryDirectory(prefix="snapshot-bench-", ignore_cleanup_errors=True) as root:
        recorder, complete = Recorder(Path(root)), True
        try:
            if "a" in options.only or "b" in options.only:
                for case in options.cases:
                    measured = [Side(side, ()) for side in sides]
                    recorder.alternate(
                        case, measured, options.rounds, partial(one_round, case), warm_up=False
                    )
            if "c" in options.only:
                lost_steps.run(recorder, options.trials)
        except KeyboardInterrupt:
            complete = False
            print("interrupted: what was measured until now follows", file=sys.stderr)
        finally:
            end_all()
    lines = [line for case in options.cases for line in _stalls(recorder, case)]
    lines += _lost(recorder)
    print("| | | block copy | ratio | target | |\n|---|---|---|---|---|---|")
    for line in lines:
        print(f"| {' | '.join(asdict(line).values())} |")
    if not _installed("dlrover"):
        print("\nDLRover is not installed here (pip install dlrover grpcio protobuf): not measured.")
    print(f"({time.monotonic() - begun:.0f} s)", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps(recorder.raw(), indent=1) + "\n")
    if not complete:
        return 130
    return int(any(line.reached == "missed" for line in lines))


def one_round(case: str, side: Side, job: Job) -> Values:
    out = job.out / "seconds"
    words = [sys.executable, "-m", "benchmarks.items.stall", side.name, case, str(out), str(job.out / "root")]
    here = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    job.start([Invocation(words, {**user_environment(), "PYTHONPATH": path})])
    job.wait(LIMIT)
    return {"seconds": float(out.read_text())}


def _stalls(recorder: Recorder, case: str) -> list[Line]:
    series = {
        name: _series(recorder, case, name, "seconds") for name in (BLOCK, TURNS, OURS, RESTORE, *PEERS)
    }
    most = MOST_SMALL if case == SMALL else MOST_LARGE
    lines = [
        _line(f"a {case}: state.commit()", series[OURS], series[BLOCK], most),
        _line(f"a {case}: state.commit(), beside three places in turn", series[OURS], series[TURNS]),
        *(_line(f"a {case}: {name}", series[name], series[BLOCK]) for name in PEERS),
        _ratio_to_save(case, series[OURS], series["torch.save"]),
        _line(f"b {case}: state.restore()", series[RESTORE], series[BLOCK], MOST_RESTORE),
    ]
    return [line for line in lines if line is not None]


def _series(recorder: Recorder, item: str, side: str, name: str) -> Series:
    return Series.of(recorder.of(item, Side(side, ())), name)


def _line(what: str, mine: Series, block: Series, most: float | None = None) -> Line | None:
    if not mine.values and not mine.failed:
        return None
    ratio = _ratio(mine, block)
    return Line(
        what,
        mine.show("ms", 1000),
        block.show("ms", 1000),
        "" if ratio is None else f"{ratio:.2f}",
        "" if most is None else f"<= {most:g} x",
        "" if most is None else _reached(mine, ratio, most),
    )


def _ratio_to_save(case: str, mine: Series, save: Series) -> Line | None:
    ratio = _ratio(mine, save)
    if ratio is None:
        return None
    what = f"a {case}: state.commit() / torch.save"
    reached = _reached(mine, ratio, MOST_OF_SAVE)
    return Line(what, "", "", f"{ratio:.3f}", f"<= {MOST_OF_SAVE:g} x", reached)


def _ratio(one: Series, other: Series) -> float | None:
    both = one.values.keys() & other.values.keys()
    return statistics.median(one.values[each] / other.values[each] for each in both) if both else None


def _reached(mine: Series, ratio: float | None, most: float) -> str:
    return "reached" if not mine.failed and ratio is not None and ratio <= most else "missed"


def _lost(recorder: Recorder) -> list[Line]:
    lines = []
    for way, most in lost_steps.WAYS.items():
        found = _series(recorder, lost_steps.ITEM, way, "lost")
        if found.values or found.failed:
            worst = max(found.values.values(), default=0)
            good = worst <= most and not found.failed
            what = f"c steps lost: {way}, {len(found.values)} jobs, {found.failed} failed"
            text = f"{sum(found.values.values()):.0f} in all, {worst:.0f} at most"
            lines.append(Line(what, text, "", "", f"<= {most}", "reached" if good else "missed"))
    return lines


def _installed(side: str) -> bool:
    if side != "dlrover":
        return True
    return all(importlib.util.find_spec(name) for name in ("dlrover", "grpc", "google.protobuf"))


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snapshot", description=__doc__)
    parser.add_argument("--only", default="a,b,c", help="letters; a and b are measured together")
    parser.add_argument("--cases", default=",".join(map(_short, CASES)), help="the same by default")
    parser.add_argument("--rounds", type=int, default=7, help="of each side (default: 7)")
    parser.add_argument("--trials", type=int, default=20, help="of c, each way (default: 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single number there")
    options = parser.parse_args(words)
    short = {_short(case): case for case in CASES}
    if unknown := set(options.cases.split(",")) - short.keys():
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(short)}")
    options.cases = [short[name] for name in options.cases.split(",")]
    return options


def _short(case: str) -> str:
    """
    >>> _short("250 MB"), _short("5,000 x 16 KB")
    ('250MB', '5000x16KB')
    """
    return case.replace(" ", "").replace(",", "")


if __name__ == "__main__":
    sys.exit(main())
