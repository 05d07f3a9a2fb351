"""Node 1's way to its leader goes through a proxy that resets, swallows, delays, truncates or refuses."""

from collections.abc import Callable, Iterator

import pytest

from ma_training.testing import FaultProxy
from tests.support import Job, wait_until

from .test_many_nodes import TOKEN, Nodes, nodes, wait_for

__all__ = ["nodes"]


class Link:
    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        nodes.options = ["--nnodes", "2"]
        self.proxy = FaultProxy("127.0.0.1", nodes.port)
        self.jobs: list[Job] = []

    def start(self) -> None:
        self.jobs = [self.nodes.start(0), self.start_far()]
        for rank, job in enumerate(self.jobs):
            wait_for(job, rank, "attempt 0")

    def start_far(self) -> Job:
        host, port = self.proxy.address
        return self.nodes.launcher.start(
            *("--rdzv-endpoint", f"{host}:{port}", "--nnodes", "2", "--node-rank", "1"),
            *("--shutdown-timeout", "5s", "train.py"),
            runs="runs1",
            env={"LAUNCHER_TOKEN": TOKEN},
        )

    def finish(self) -> list[int]:
        """How many attempts each has seen."""
        self.nodes.finish()
        for job in self.jobs:
            assert job.wait() == 0, job.stderr
        return [len(job.result["attempts"]) for job in self.jobs]


@pytest.fixture
def link(nodes: Nodes) -> Iterator[Link]:
    link = Link(nodes)
    yield link
    link.proxy.close()


def test_a_reset_restarts_nothing(link: Link) -> None:
    link.start()
    workers = [job.worker_pid(rank) for rank, job in enumerate(link.jobs)]
    for _ in range(3):
        link.proxy.reset()
        wait_until(lambda: link.proxy.connections == 1, "node 1 to connect again")
    assert link.finish() == [1, 1]
    assert "reset" in link.jobs[1].stderr and "the workers train on" in link.jobs[1].stderr
    assert [job.worker_pid(rank) for rank, job in enumerate(link.jobs)] == workers


def swallow(proxy: FaultProxy) -> None:
    proxy.drop()


def swallow_one_way(proxy: FaultProxy) -> None:
    proxy.drop("to_server")


def truncate(proxy: FaultProxy) -> None:
    proxy.truncate(100)


@pytest.mark.parametrize("fault", [swallow, swallow_one_way, truncate])
def test_a_link_that_is_bad_for_a_while_costs_an_attempt(
    link: Link, fault: Callable[[FaultProxy], None]
) -> None:
    link.start()
    fault(link.proxy)
    wait_until(lambda: link.jobs[0].events("attempt.ended", attempt=0), "node 0 to miss node 1")
    link.proxy.restore()
    for rank, job in enumerate(link.jobs):
        wait_for(job, rank, "attempt 1")
    assert link.finish() == [2, 2]
    assert "node1" in link.jobs[0].stderr and "is lost" in link.jobs[0].stderr
    assert "the leader at" in link.jobs[1].stderr


def test_a_slow_link_is_no_fault(link: Link) -> None:
    """Half a second each way, and two kilobytes a second: a failure is handled, and no node is missed."""
    link.nodes.launcher.script("""
        import os, sys, time
        print("attempt", os.environ["TORCHELASTIC_RESTART_COUNT"], "rank", os.environ["RANK"], flush=True)
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        while not os.path.exists("fail" if first else "finish"):
            time.sleep(0.01)
        if first and os.environ["RANK"] == "1":
            sys.exit(3)
        time.sleep(60 if first else 0)
    """)
    link.proxy.delay(0.5)
    link.proxy.throttle(2000)
    link.start()
    (link.nodes.launcher.directory / "fail").touch()
    for rank, job in enumerate(link.jobs):
        wait_for(job, rank, "attempt 1")
    assert link.finish() == [2, 2]
    assert "is lost" not in link.jobs[0].stderr


def test_a_leader_that_cannot_be_reached_yet_is_waited_for(link: Link) -> None:
    link.proxy.refuse()
    first, second = link.nodes.start(0), link.start_far()
    link.jobs = [first, second]
    wait_until(first._runs.exists, "the leader")
    link.proxy.restore()
    assert link.finish() == [1, 1]
