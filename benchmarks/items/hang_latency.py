"""How soon a hang is noticed: from the moment that the script says it begins."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .crowd import Row

LAUNCHER = str(Path(sys.executable).with_name("launcher"))
SCRIPT = str(Path(__file__).parents[2] / "tests" / "hangs" / "hang.py")
# Kinds whose steps are known when they hang, and how many ranks they take.
KINDS = {"sleep": 2, "busy": 2, "stopped": 2, "gil": 2, "lock": 2, "pipe": 2, "log_writer": 2, "loader": 2}
KINDS |= {"skipped": 3, "mismatched": 3, "uneven": 2}
SUSPECTED, CERTAIN, UNKNOWN = 5.0, 5.0, 120.0  # seconds: the targets, for steps of 20 ms
GIVES_UP = 240.0
NO_STEPS = """
import os, sys, time
with open(os.environ["ZOO_BEGAN"], "w") as file:
    file.write(str(time.monotonic()))
print("thinking", flush=True)
time.sleep(1e6)
"""


@dataclass(frozen=True)
class Noticed:
    """Seconds after the hang began; NaN where it was not noticed."""

    suspected: float
    certain: float
    right: bool  # rank 1 was named


def known(root: Path, kinds: Sequence[str], rounds: int) -> list[Row]:
    rows, right, runs = [], 0, 0
    for label, environ in (("bootstrap", {}), ("TrainingState", {"ZOO_STATE": "1"})):
        for kind in kinds:
            found = [one(root / f"{label}-{kind}-{n}", kind, KINDS[kind], environ) for n in range(rounds)]
            print(f"{label} {kind}: {found}", file=sys.stderr, flush=True)
            rows.append(_row(f"a {kind} ({label})", found))
            right += sum(noticed.right for noticed in found)
            runs += len(found)
    share = right / runs
    mark = "reached" if share >= 0.95 else "missed"
    return [*rows, ("a the culprit is right", f"**{right} of {runs}**", "-", ">= 95 %", mark)]


def _row(what: str, found: Sequence[Noticed]) -> Row:
    suspected = statistics.median(one.suspected for one in found)
    after = max(one.certain - one.suspected for one in found)
    certain = statistics.median(one.certain for one in found)
    # A look each second, and a loaded machine's hiccup: the limit itself is 5 s.
    good = suspected <= SUSPECTED + 1.2 and after <= CERTAIN
    ours = f"suspected {suspected:.1f} s, certain **{certain:.1f} s**"
    return (
        what,
        ours,
        "-",
        "suspected <= 5 s (+ one look), certain <= 5 s later",
        "reached" if good else "missed",
    )


def unknown(root: Path) -> list[Row]:
    script = root / "thinks.py"
    script.write_text(NO_STEPS)
    found = one(root / "unknown", "", 2, {}, str(script))
    mark = "reached" if found.certain <= UNKNOWN else "missed"
    return [("b nothing known: certain", f"**{found.certain:.0f} s**", "-", "<= 120 s", mark)]


def one(root: Path, kind: str, ranks: int, environ: dict[str, str], script: str = SCRIPT) -> Noticed:
    root.mkdir(parents=True)
    began = root / "began"
    words = [LAUNCHER, "--on-hang", "stop", "--nproc-per-node", str(ranks), "--shutdown-timeout", "1s"]
    variables = os.environ | environ | {"ZOO_BEGAN": str(began)}
    words += [script, kind] if kind else [script]
    with (root / "words").open("w") as said:
        subprocess.run(
            words, cwd=root, env=variables, stdout=said, stderr=said, timeout=GIVES_UP, check=False
        )
    start = float(began.read_text())
    events = [
        json.loads(line) for path in root.glob("runs/*/events/*") for line in path.read_text().splitlines()
    ]
    suspected = [event["t_mono"] for event in events if event["kind"] == "watchdog.suspect"]
    hung = [event for event in events if event["kind"] == "worker.hung"]
    nothing = float("nan")
    return Noticed(
        suspected[-1] - start if suspected else nothing,
        hung[0]["t_mono"] - start if hung else nothing,
        [event["rank"] for event in hung] == [1],
    )


def peer(root: Path, kinds: Sequence[str], program: str, limit: float) -> list[Row]:
    """The peer gets as long; what it has not noticed by then is stopped."""
    if not program:
        print("d: no --peer given", file=sys.stderr)
        return []
    rows: list[Row] = []
    for kind in kinds:
        began = root / f"began-{kind}"
        words = [program, "--standalone", "--nnodes", "1", "--nproc-per-node", str(KINDS[kind]), SCRIPT, kind]
        with (root / f"words-{kind}").open("w") as said:
            process = subprocess.Popen(
                words, cwd=root, env=os.environ | {"ZOO_BEGAN": str(began)}, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip
        rows.append((f"d {kind}", "-", _watch_peer(process, began, limit), "-", "-"))
    return rows


def _watch_peer(process: "subprocess.Popen[bytes]", began: Path, limit: float) -> str:
    """It notices a hang when it ends, or starts its workers anew."""
    deadline = time.monotonic() + 60
    while not began.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    if not began.exists():
        _stop(process)
        return "the script did not come to its hang"
    start = float(began.read_text() or "nan")
    while process.poll() is None and time.monotonic() < start + limit:
        time.sleep(0.1)
    noticed = process.poll() is not None
    took = time.monotonic() - start
    _stop(process)
    return f"{took:.0f} s" if noticed else f"not within {limit:.0f} s"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """All of its session: workers that hang do not hear a SIGTERM."""
    import psutil

    mine = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for child in mine:
        child.kill()
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
