"""What the watchdog costs: its CPU time beside 8 ranks, and what a counted step costs the worker."""

import os
import subprocess
import sys
import time
from pathlib import Path

from .crowd import Row

LAUNCHER = str(Path(sys.executable).with_name("launcher"))
RANKS, SECONDS, STEPS = 8, 60.0, 200_000
CPU_LIMIT, STEP_LIMIT = 1.0, 5.0  # % of a core; microseconds
# Eight ranks that step as torch would have them counted, each with processes of its own.
WORKER = """
import subprocess, sys, time
sys.modules["torch"] = type(sys)("torch")
children = [subprocess.Popen(["sleep", "1000"]) for _ in range(4)]
worker = sys.modules.get("_launcher_worker")
try:
    while True:
        worker.beat()
        time.sleep(0.05)
finally:
    for child in children:
        child.kill()
"""
STEP = """
import os, sys, time
fd = os.memfd_create("page")
os.ftruncate(fd, 65536)
sys.path.insert(0, {path!r})
from ma_training.agent import bootstrap
account = bootstrap.Account(fd)
began = time.perf_counter()
for _ in range({steps}):
    account.step()
print((time.perf_counter() - began) / {steps} * 1e6)
"""


def cpu(root: Path) -> list[Row]:
    with_it, without = (_agent_cpu(root / name, name) for name in ("restart", "off"))
    share = (with_it - without) / SECONDS * 100
    program = STEP.format(path=str(Path(__file__).parents[2]), steps=STEPS)
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    step = float(found.stdout)
    return [
        _row("c watchdog of 8 ranks: CPU of a core", f"**{share:.2f} %**", "<= 1 %", share <= CPU_LIMIT),
        _row("c a counted step: telemetry", f"**{step:.2f} us**", "<= 5 us", step <= STEP_LIMIT),
    ]


def _row(what: str, ours: str, target: str, good: bool) -> Row:
    return what, ours, "-", target, "reached" if good else "missed"


def _agent_cpu(root: Path, on_hang: str) -> float:
    """Seconds that the agent used in a minute of calm."""
    root.mkdir(parents=True)
    (root / "train.py").write_text(WORKER)
    words = [LAUNCHER, "--on-hang", on_hang, "--nproc-per-node", str(RANKS), "train.py"]
    with (root / "words").open("w") as said:
        process = subprocess.Popen(words, cwd=root, stdout=said, stderr=said)
    try:
        time.sleep(10)  # all workers have started
        before = _used(process.pid)
        time.sleep(SECONDS)
        return _used(process.pid) - before
    finally:
        process.terminate()
        process.wait(60)


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
