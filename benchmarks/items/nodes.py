"""Three nodes in network namespaces: how soon all know that one of them has failed.

Both sides run the same script under the same name resolution, over gloo: each rank writes the time of
its every step, so that the last line of a file is when that worker last lived.
"""

import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ma_training.testing import Cluster, Node

from .crowd import Row

BIN = Path(sys.executable).parent
PORT = 29400
TIMEOUT = 20  # seconds, of the process group: what torchrun's workers notice a cut by
STOPPED, NOTICED = 1.0, 3.0  # seconds
GIVES_UP = 45.0  # seconds that a restart may take
IDLE_CPU, IDLE_MB = 0.5, 40.0  # % of a core; RssAnon
SCRIPT = f"""
import datetime, os, sys, time
import torch, torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds={TIMEOUT}))
log = open(f"{{sys.argv[1]}}/{{os.environ['TORCHELASTIC_RESTART_COUNT']}}-{{dist.get_rank()}}", "w")
while True:
    value = torch.ones(1)
    dist.all_reduce(value)
    log.write(f"{{time.monotonic()}} {{os.getpid()}}\\n")
    log.flush()
    time.sleep(0.01)
"""


class Side:
    """One of the two launchers on three nodes."""

    def __init__(self, name: str, cluster: Cluster, root: Path) -> None:
        self.name, self.out = name, root / name
        self.out.mkdir()
        (self.out / "train.py").write_text(SCRIPT)
        self._launchers = [self._start(node) for node in cluster]

    def _start(self, node: Node) -> "subprocess.Popen[bytes]":
        endpoint = f"10.77.0.1:{PORT}"
        ours = [str(BIN / "launcher"), "--nnodes", "3", "--node-rank", str(node.number)]
        theirs = [str(BIN / "torchrun"), "--nnodes", "3", "--nproc-per-node", "1", "--max-restarts", "3"]
        theirs += ["--rdzv-backend", "c10d", "--rdzv-id", "bench", "--local-addr", node.address]
        if node.number == 0:  # c10d's host has to recognise itself
            theirs += ["--rdzv-conf", "is_host=1"]
        words = ours if self.name == "ours" else theirs
        environ = os.environ | {"GLOO_SOCKET_IFNAME": node.interface, "OMP_NUM_THREADS": "1"}
        with (self.out / f"words{node.number}").open("w") as said:
            return node.popen(
                [*words, "--rdzv-endpoint", endpoint, "train.py", str(self.out)],
                cwd=self.out,
                env=environ | {"LAUNCHER_TOKEN": "benchmark-token-of-16"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def steps(self, attempt: int, rank: int) -> list[tuple[float, int]]:
        """(monotonic seconds, pid) of each step."""
        path = self.out / f"{attempt}-{rank}"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(float(line.split()[0]), int(line.split()[1])) for line in lines if len(line.split()) == 2]

    def wait(self, done: Callable[[], object], what: str, seconds: float = 120.0) -> None:
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                words = "".join(path.read_text()[-2000:] for path in self.out.glob("words*"))
                raise SystemExit(f"benchmark: {self.name}: waited {seconds:g} s for {what}\n{words}")
            time.sleep(0.005)

    def wait_running(self, attempt: int) -> None:
        self.wait(lambda: all(len(self.steps(attempt, rank)) > 5 for rank in range(3)), f"attempt {attempt}")

    def first_steps(self, attempt: int) -> float:
        """When the last rank has done its first step; infinite where that does not come to be."""
        until = time.monotonic() + GIVES_UP
        while time.monotonic() < until:
            if all(self.steps(attempt, rank) for rank in range(3)):
                return max(self.steps(attempt, rank)[0][0] for rank in range(3))
            time.sleep(0.005)
        return math.inf

    def said(self, node: int) -> str:
        return (self.out / f"words{node}").read_text()

    def end(self) -> None:
        for each in self._launchers:
            each.send_signal(signal.SIGTERM)
        for each in self._launchers:
            try:
                each.wait(60)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def killed_worker(rounds: int, root: Path) -> list[Row]:
    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "torchrun": []}
    for number in range(rounds):
        for name in figures:
            with Cluster(3) as cluster:
                place = root / f"{number}"
                place.mkdir(exist_ok=True)
                side = Side(name, cluster, place)
                side.wait_running(0)
                pids = [side.steps(0, rank)[-1][1] for rank in range(3)]
                began = time.monotonic()
                os.kill(pids[1], signal.SIGKILL)
                side.wait(lambda pids=pids: not any(map(alive, pids)), "all workers' end")
                stopped = time.monotonic() - began
                figures[name].append((stopped, side.first_steps(1) - began))
                side.end()
        print(f"b round {number + 1}: {figures}", file=sys.stderr)
    ours = [statistics.median(column) for column in zip(*figures["ours"], strict=True)]
    theirs = [statistics.median(column) for column in zip(*figures["torchrun"], strict=True)]
    reached = "reached" if ours[0] <= STOPPED else "missed"
    return [
        (
            "b worker killed on one of 3 nodes -> all workers gone",
            f"**{ours[0]:.3f} s**",
            f"{theirs[0]:.2f} s",
            f"<= {STOPPED:g} s",
            reached,
        ),
        (
            "b ... -> all ranks' first step of the next attempt",
            f"{ours[1]:.2f} s",
            f"{theirs[1]:.2f} s",
            "",
            "",
        ),
    ]


def shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < math.inf else f"not within {GIVES_UP:g} s"


def silent_cut(rounds: int, root: Path) -> list[Row]:
    figures: dict[str, list[float]] = {"ours": [], "torchrun": []}
    for number in range(rounds):
        for name in figures:
            with Cluster(3) as cluster:
                place = root / f"{number}"
                place.mkdir(exist_ok=True)
                side = Side(name, cluster, place)
                side.wait_running(0)
                pids = [side.steps(0, rank)[-1][1] for rank in (0, 1)]
                began = time.monotonic()
                cluster[2].cut()
                if name == "ours":
                    side.wait(lambda side=side: "is lost" in side.said(0), "the notice")
                else:  # it says nothing: its workers' own timeout is what ends them
                    side.wait(lambda pids=pids: not all(map(alive, pids)), "the first worker's end")
                figures[name].append(time.monotonic() - began)
                cluster[2].restore()
                side.end()
        print(f"c round {number + 1}: {figures}", file=sys.stderr)
    ours, theirs = (statistics.median(figures[name]) for name in ("ours", "torchrun"))
    reached = "reached" if max(figures["ours"]) <= NOTICED else "missed"
    slowest = f" (slowest {max(figures['ours']):.2f})"
    return [
        (
            f"c silent cut -> noticed (torchrun: its workers' timeout, {TIMEOUT} s here)",
            f"**{ours:.2f} s**{slowest}",
            f"{theirs:.1f} s",
            f"<= {NOTICED:g} s",
            reached,
        )
    ]


def idle(root: Path) -> list[Row]:
    """The leader's agent and another, for 20 seconds in which nothing happens."""
    seconds = 20.0
    with Cluster(3) as cluster:
        side = Side("ours", cluster, root)
        side.wait_running(0)
        agents = [each.pid for each in side._launchers]
        before = [cpu(pid) for pid in agents]
        time.sleep(seconds)  # what is measured is this time
        shares = [(cpu(pid) - one) / seconds * 100 for pid, one in zip(agents, before, strict=True)]
        memory = [rss_anon(pid) for pid in agents]
        side.end()
    return [
        (
            "d idle agent: CPU of a core (the leader's, another)",
            f"**{shares[0]:.2f} %**, {shares[2]:.2f} %",
            "",
            f"<= {IDLE_CPU} %",
            "reached" if max(shares) <= IDLE_CPU else "missed",
        ),
        (
            "d idle agent: RssAnon (the leader's, another)",
            f"**{memory[0]:.1f} MB**, {memory[2]:.1f} MB",
            "",
            f"<= {IDLE_MB:g} MB",
            "reached" if max(memory) <= IDLE_MB else "missed",
        ),
    ]


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_anon(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0
