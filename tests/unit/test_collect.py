"""Counters of the machine's, and of trees of real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.agent.telemetry import TelemetryPage
from ma_training.watchdog.collect import (
    Collector,
    Watched,
    network_bytes,
    throttle_files,
    throttled_seconds,
)
from ma_training.watchdog.process_tree import LIST_EVERY, ProcessTree, tree_of
from tests.support import wait_until

NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0: 1000      10    0    0    0     0          0         0     300      10    0    0    0     0       0          0
  ib0:7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0
  odd: x
"""  # noqa: E501  as the kernel writes it

CHILD = """
import os, subprocess, sys, threading, time
for line in sys.stdin:
    exec(line)
    os.write(int(sys.argv[1]), b".")
"""
V2 = {"job/cpu.stat": "usage_usec 5\nthrottled_usec 1500000\n", "cpu.stat": "usage_usec 9\n"}
V1 = {"cpu/job/cpu.stat": "nr_throttled 3\nthrottled_time 1500000000\n"}


@pytest.fixture
def page() -> Iterator[TelemetryPage]:
    page = TelemetryPage(0)
    yield page
    page.close()


class Child:
    """A process that runs what it is told, a line at a time."""

    def __init__(self, log: Path) -> None:
        self._done, tell = os.pipe()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-uc", CHILD, str(tell)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[tell],
                start_new_session=True,
            )
        os.close(tell)

    @property
    def pid(self) -> int:
        return self.process.pid

    def do(self, line: str) -> None:
        """Runs it there, and returns when that is done."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        assert os.read(self._done, 1) == b"."

    def end(self) -> None:
        try:
            os.killpg(self.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()
        os.close(self._done)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child(tmp_path / "log")
    child.do("pass")
    yield child
    child.end()


def test_the_network_without_loopback(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text(NET)
    assert network_bytes(str(tmp_path / "dev")) == 1315
    assert network_bytes(str(tmp_path / "none")) == 0


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/job/step\n", V2),
        ("4:cpu,cpuacct:/job\n1:name=systemd:/\n", V1),
        ("4:cpu,cpuacct:/away\n", {"cpu,cpuacct/cpu.stat": "throttled_time 1500000000\n"}),
    ],
)  # fmt: skip
def test_throttling(tmp_path: Path, cgroup: str, files: dict[str, str]) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert throttled_seconds(throttle_files(tmp_path, tmp_path / "sys")) == 1.5


def test_no_cgroups_no_throttling(tmp_path: Path) -> None:
    assert throttled_seconds(throttle_files(tmp_path, tmp_path)) == 0
    assert throttled_seconds((str(tmp_path / "gone"),)) == 0


def test_a_reading(child: Child, page: TelemetryPage) -> None:
    collector = Collector({3: Watched(child.pid, page.read)})
    try:
        before = collector.read(1.0)
        child.do("print('x' * 1000)")
        child.do("[sum(range(10**6)) for _ in range(20)]")
        after = collector.read(2.0)
    finally:
        collector.close()
    (old,), (new,) = before.ranks, after.ranks
    assert (new.rank, new.phase, new.steps, after.at) == (3, None, None, 2.0)
    assert new.log - old.log == 1001
    assert new.io - old.io >= 1001
    assert new.cpu > old.cpu
    assert set(new.states) <= set("RS")


def test_children_count_and_are_not_lost_when_they_end(child: Child) -> None:
    tree = ProcessTree(child.pid)
    try:
        child.do('burn = \'sum(range(10**7)); open("/dev/null", "w").write("x" * 10**6); print(1); input()\'')
        child.do("p = subprocess.Popen([sys.executable, '-c', burn], stdin=subprocess.PIPE)")
        first = tree.read()
        wait_until(lambda: tree.read().io - first.io > 10**6, "what the child has written")
        with_child = tree.read()
        assert len(tree.pids) == 2
        assert with_child.cpu > 0
        child.do("p.communicate(b'x')")
        after = [tree.read() for _ in range(LIST_EVERY + 1)]
    finally:
        tree.close()
    assert len(tree.pids) == 0
    assert min(one.cpu for one in after) >= with_child.cpu
    assert min(one.io for one in after) >= with_child.io


def test_what_an_orphan_used_does_not_make_the_sum_shrink(child: Child) -> None:
    """Its end is told to whoever adopted it; what the tree does afterwards is still to be seen."""
    tree = ProcessTree(child.pid)
    try:
        child.do(
            "code = 'print(\"x\" * 10**6); input()'; "
            "p = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE)"
        )
        start = tree.read().io
        wait_until(lambda: tree.read().io - start > 10**6, "what the child has written")
        before = tree.read()
        # Not waited for by its parent: the kernel reaps it, and adds it to no one.
        child.do("import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); p.stdin.close()")
        wait_until(lambda: len(tree_of(child.pid)) == 1, "the child's end")
        gone = tree.read()
        child.do("print('y' * 5000)")
        after = tree.read()
    finally:
        tree.close()
    assert gone.io >= before.io
    assert after.io - gone.io >= 5000


def test_a_thread_each(child: Child) -> None:
    tree = ProcessTree(child.pid)
    try:
        assert len(tree.read().states) == 1
        child.do("[threading.Thread(target=time.sleep, args=(1000,), daemon=True).start() for _ in range(3)]")
        assert len(tree.read().states) == 4
        os.kill(child.pid, 19)
        wait_until(lambda: tree.read().states == "TTTT", "all of them stopped")
    finally:
        tree.close()


def test_one_that_is_gone(child: Child, page: TelemetryPage) -> None:
    collector = Collector({0: Watched(child.pid, page.read)})
    try:
        before = collector.read(1.0).ranks[0]
        child.process.kill()
        child.process.wait()
        after = collector.read(2.0).ranks[0]
    finally:
        collector.close()
    assert (after.states, after.cpu) == ("", before.cpu)
    assert after.log >= before.log


def test_a_log_that_is_cut_goes_on_growing(child: Child, page: TelemetryPage, tmp_path: Path) -> None:
    collector = Collector({0: Watched(child.pid, page.read)})
    try:
        child.do("print('x' * 999)")
        first = collector.read(1.0).ranks[0].log
        os.truncate(tmp_path / "log", 0)  # as rotation does
        child.do("print('y' * 9)")
        assert collector.read(2.0).ranks[0].log >= first + 10
    finally:
        collector.close()


def test_nothing_is_left_open(child: Child, page: TelemetryPage) -> None:
    before = os.listdir("/proc/self/fd")
    collector = Collector({0: Watched(child.pid, page.read)})
    collector.read(time.monotonic())
    collector.close()
    assert os.listdir("/proc/self/fd") == before
