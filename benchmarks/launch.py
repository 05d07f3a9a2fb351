"""``python -m benchmarks.launch``: the launcher beside the torchrun installed in the same environment.

Both run the same scripts with the same interpreter, in turn, round by round. Progress goes to stderr,
the table to stdout, every single number to ``--json``. The exit code is 1 where a target is missed.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from .items import death, memory, output, restarts, start, stop, training
from .measure import Recorder, Row, table
from .processes import become_subreaper, end_all
from .sides import missing_commands

Run = Callable[[Recorder, argparse.Namespace], list[Row]]
ITEMS: dict[str, Run] = {
    "a": lambda recorder, options: start.run(recorder, options.rounds),
    "b": lambda recorder, options: memory.run(recorder, options.rounds),
    "c": lambda recorder, options: death.run(recorder, options.rounds),
    "d": lambda recorder, options: stop.run(recorder, options.rounds),
    "e": lambda recorder, options: training.run(recorder, options.rounds),
    "f": lambda recorder, options: restarts.run(recorder, options.trials),
    "g": lambda recorder, options: output.run(recorder, options.rounds),
}


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    if missing := missing_commands():
        raise SystemExit(f"benchmark: not installed: {', '.join(missing)}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    become_subreaper()
    begun, machine = time.monotonic(), _machine()
    print(" ".join(f"{name}={value}" for name, value in machine.items()), file=sys.stderr)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="launch-bench-", ignore_cleanup_errors=True) as root:
        recorder = Recorder(Path(root))
        complete = False
        try:
            for item in options.only:
                rows += ITEMS[item](recorder, options)
            complete = True
        except KeyboardInterrupt:
            print("interrupted: what was measured until now follows", file=sys.stderr)
        finally:
            if options.json is not None:  # before anything else may go wrong
                seconds = round(time.monotonic() - begun, 1)
                _write(options.json, recorder, rows, {**machine, "seconds": seconds, "complete": complete})
            end_all()
    print(table(rows))
    print(f"({time.monotonic() - begun:.0f} s)", file=sys.stderr)
    if not complete:
        return 130
    return int(any(row.reached in ("no", "unknown") for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launch", description=__doc__)
    parser.add_argument(
        "--only",
        type=_items,
        default=list(ITEMS),
        metavar="a,c",
        help=f"of {', '.join(ITEMS)}; all by default",
    )
    parser.add_argument("--rounds", type=_positive, help="of each side; by default each item's own number")
    parser.add_argument("--trials", type=_positive, default=restarts.TRIALS, help="of item f (default: 50)")
    parser.add_argument("--json", type=_new_file, metavar="FILE", help="write every single number there")
    return parser


def _items(text: str) -> list[str]:
    if unknown := set(text.split(",")) - set(ITEMS):
        raise argparse.ArgumentTypeError(f"no such item: {', '.join(sorted(unknown))}")
    return [item for item in ITEMS if item in text.split(",")]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _new_file(text: str) -> Path:
    """Told now rather than after half an hour."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {text}")
    return path


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _write(path: Path, recorder: Recorder, rows: Sequence[Row], machine: dict[str, Any]) -> None:
    content = {"machine": machine, "rows": [asdict(row) for row in rows], "samples": recorder.raw()}
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
