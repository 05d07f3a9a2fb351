"""``python -m benchmarks.coordination``: the conversation of very many agents, and of a few that fail.

a   10,000 agents over loopback sockets: join, agree on an attempt, one fails, agree on the next
b   three nodes in network namespaces: a worker is killed, beside torchrun
c   the same: a node is silently cut off, beside torchrun with a process group timeout of 20 s
d   an agent that has nothing to do
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .items import crowd, nodes
from .items.crowd import Row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coordination")
    parser.add_argument("--only", default="a,b,c,d", help="letters")
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print(f"{platform.platform()} Python {platform.python_version()} {os.cpu_count()} cores", file=sys.stderr)
    items: dict[str, Callable[[Path], list[Row]]] = {
        "a": lambda root: crowd.run(options.agents, root),
        "b": lambda root: nodes.killed_worker(options.rounds, root),
        "c": lambda root: nodes.silent_cut(options.rounds, root),
        "d": nodes.idle,
    }
    rows: list[Row] = []
    for letter in options.only.split(","):
        with tempfile.TemporaryDirectory(prefix="coordination-bench-", ignore_cleanup_errors=True) as root:
            rows += items[letter](Path(root))
    print("| | ours | torchrun | target | |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return 1 if any(row[4] == "missed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
