"""``python -m benchmarks.watchdog``: how soon hangs are noticed, and what the watch costs.

a   latency by kind of hang, from the moment it begins: suspected, certain, and the right rank named;
    steps counted by the bootstrap alone, and with TrainingState (state.commit())
b   nothing known: a program that does no steps that can be counted
c   the watchdog's CPU time for 8 ranks, and a step's telemetry
d   ft_launcher (NVRx) with its defaults on the same hangs, as far as it notices within a limit
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .items import hang_cost, hang_latency
from .items.crowd import Row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watchdog")
    parser.add_argument("--only", default="a,b,c,d", help="letters")
    parser.add_argument("--kinds", default=",".join(hang_latency.KINDS), help="of a and d")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer", default="", help="ft_launcher's path; without it, d is left out")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds that d waits for the peer")
    options = parser.parse_args()
    print(f"{platform.platform()} Python {platform.python_version()} {os.cpu_count()} cores", file=sys.stderr)
    kinds = options.kinds.split(",")
    items: dict[str, Callable[[Path], list[Row]]] = {
        "a": lambda root: hang_latency.known(root, kinds, options.rounds),
        "b": lambda root: hang_latency.unknown(root),
        "c": lambda root: hang_cost.cpu(root),
        "d": lambda root: hang_latency.peer(root, kinds, options.peer, options.limit),
    }
    rows: list[Row] = []
    for letter in options.only.split(","):
        with tempfile.TemporaryDirectory(prefix="watchdog-bench-", ignore_cleanup_errors=True) as root:
            rows += items[letter](Path(root))
    print("| | ours | ft_launcher | target | |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return 1 if any(row[4] == "missed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
