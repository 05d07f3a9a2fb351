"""``python -m benchmarks.platforms``: how long it takes to find out where a job runs.

Each recorded environment of tests/platforms, in a fresh interpreter each time, as the launcher does
it: from the first import of ``launchers.platforms`` to the topology. The imports that every command
makes (options, settings) are not in it, those of the platform's class are.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
TARGET = 0.005  # seconds
CODE = """
import json, sys, time
from pathlib import Path
from launchers.cli.settings import resolve
from launchers.cli.errors import UsageError
import ma_training.job, socket
case, root = json.loads(sys.argv[1]), Path(sys.argv[2])
try:
    settings = resolve([*case.get("options", []), "train.py", *case.get("arguments", [])], case["env"], root)
except UsageError:  # an option's own error: no platform is looked for
    assert "error" in case
    sys.exit()
began = time.perf_counter()
from launchers.platforms.environment import Environment
from launchers.platforms.placement import place
host = lambda: case.get("hostname", "somewhere")
try:
    place(settings, Environment(case["env"], settings.args, host, root))
except UsageError:
    assert "error" in case
print(time.perf_counter() - began)
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.platforms")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    worst = 0.0
    print("| platform | environments | median | slowest |\n|---|---|---|---|")
    for path in sorted((ROOT / "tests/platforms").glob("*.yaml")):
        cases = [case for case in yaml.safe_load(path.read_text()) if not case.get("files")]
        measured = [seconds(case) for case in cases for _ in range(options.rounds)]
        times = [one for one in measured if one is not None]
        median = statistics.median(times)
        worst = max(worst, median)
        print(
            f"| {path.stem} | {len(cases)} | {median * 1000:.2f} ms | {max(times) * 1000:.2f} ms |",
            flush=True,
        )
    print(f"slowest median {worst * 1000:.2f} ms, target {TARGET * 1000:g} ms")
    return 0 if worst <= TARGET else 1


def seconds(case: dict[str, Any]) -> float | None:
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "dev").mkdir()
        for kind, name in (("gpu", "nvidia"), ("npu", "davinci")):
            for number in range(case.get("devices", {}).get(kind, 0)):
                (Path(root) / "dev" / f"{name}{number}").touch()
        command = [sys.executable, "-c", CODE, json.dumps(case), root]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout) if done.stdout else None


if __name__ == "__main__":
    sys.exit(main())
