"""Hangs of jobs on several nodes: the node that has the culprit is the one that names it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.testing import Cluster, available
from tests.integration.test_cluster_faults import Job4Nodes
from tests.integration.test_many_nodes import Nodes, nodes
from tests.support import Launcher, wait_until

__all__ = ["nodes"]

SCRIPT = Path(__file__).with_name("hang.py")
pytestmark = [pytest.mark.hangs, pytest.mark.timeout(300)]


def test_the_culprit_is_on_another_node(nodes: Nodes) -> None:
    shutil.copy(SCRIPT, nodes.launcher.directory / "hang.py")
    nodes.launcher.script("import sys; sys.argv[1:] = ['sleep']; exec(open('hang.py').read())")
    first, second = nodes.start_all(2)
    for job in (first, second):
        assert job.wait(150) == 0, job.stderr
        assert "rank 1 on node1" in job.stderr
        assert "rank 1 is asleep at" in job.stderr
        assert job.result["restarts"] == 1
    assert [event.rank for event in second.events("worker.hung")] == [1]
    for event in first.events("worker.hung"):  # it may have been told to stop before it was certain
        assert (event.rank, event.data["waiting"]) == (0, True)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


@pytest.mark.skipif(bool(available()), reason="needs root and network namespaces")
def test_packets_between_two_nodes_vanish(launcher: Launcher, cluster: Cluster) -> None:
    """Their agents notice nothing: each still reaches the leader. All workers wait; nobody is to blame."""
    launcher.script("""
        import os, time, torch, torch.distributed as dist
        dist.init_process_group("gloo")
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        for step in range(1_000_000 if first else 20):
            dist.all_reduce(torch.ones(100))
            optimizer.step()
            time.sleep(0.02)
            if step == 200:
                open(f"training-{dist.get_rank()}", "w").close()
        dist.barrier()
    """)
    nodes = Job4Nodes(launcher, cluster)
    jobs = nodes.start_all(3)
    marks = [launcher.directory / f"training-{rank}" for rank in range(3)]
    wait_until(lambda: all(mark.exists() for mark in marks), "200 steps of all", 60)
    cluster[1].blackhole(cluster[2])
    wait_until(lambda: any(job.events("worker.hung") for job in jobs), "the hang", 60)
    cluster[1].restore()
    for job in jobs:
        assert job.wait(120) == 0, job.words.read_text()  # type: ignore[attr-defined]
        assert job.result["restarts"] == 1
        assert all(event.data["waiting"] for event in job.events("worker.hung"))
    assert "hangs after" in jobs[0].words.read_text()  # type: ignore[attr-defined]
