"""Nodes in network namespaces train with DDP over gloo while machines and links fail.

The script keeps its own checkpoint on a disk that all share; what is compared is what was trained.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.testing import Cluster, Node, available
from tests.support import COMMAND, MARK, Job, Launcher, is_alive, wait_until

pytestmark = [
    pytest.mark.nodes,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(available()), reason="needs root and network namespaces"),
]
TOKEN = "0123456789abcdef-token"
PORT = 29400
STEPS = 24
SAMPLES = 96
TRAIN = f"""
    import json, os, time
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    order = torch.randperm({SAMPLES}, generator=torch.Generator().manual_seed(1)).tolist()
    data = torch.randn({SAMPLES}, 8, generator=torch.Generator().manual_seed(2))
    step, done = 0, []
    if os.path.exists("state.pt"):
        state = torch.load("state.pt", weights_only=True)
        step, done = state["step"], state["done"]
        model.module.load_state_dict(state["model"])
    print("attempt", os.environ["TORCHELASTIC_RESTART_COUNT"], "world", world, "step", step, flush=True)
    while step < {STEPS} and len(done) < {SAMPLES}:
        left = [sample for sample in order if sample not in done]
        mine = left[rank:world:world]
        optimizer.zero_grad()
        loss = (model(data[mine]) - 1).pow(2).mean() if mine else model(data[:1]).sum() * 0
        loss.backward()
        total = loss.detach().clone()
        dist.all_reduce(total)
        optimizer.step()
        step, done = step + 1, done + left[:world]
        if rank == 0:
            state = {{"step": step, "done": done, "model": model.module.state_dict()}}
            torch.save(state, "state.new")
            os.replace("state.new", "state.pt")
            with open("losses.ndjson", "a") as log:
                log.write(json.dumps([step, total.item(), left[:world]]) + "\\n")
        print("step", step, flush=True)
        while not os.path.exists("go") and step >= 3:
            time.sleep(0.01)
        dist.barrier()
    dist.destroy_process_group()
"""


class Job4Nodes:
    """Launchers of one job, each in a namespace."""

    def __init__(self, launcher: Launcher, cluster: Cluster) -> None:
        self.launcher, self.cluster = launcher, cluster
        self.options: list[str] = []
        self.started: list[Job] = []

    def start(self, node: Node, *words: str, rank: int | None = None, prefix: tuple[str, ...] = ()) -> Job:
        given = ["--node-rank", str(rank)] if rank is not None else []
        name = f"runs{len(self.started)}"
        command = [COMMAND, "--run-dir", name, "--rdzv-endpoint", f"{self.cluster[0].address}:{PORT}"]
        return self.popen(
            node,
            [*prefix, *command, "--shutdown-timeout", "3s", *self.options, *given, *words, "train.py"],
            name,
        )

    def popen(self, node: Node, command: list[str], name: str = "none") -> Job:
        words = self.launcher.directory / f"stderr{len(self.started)}"
        with words.open("w") as stderr:
            process = subprocess.Popen(
                node.command(*command),
                cwd=self.launcher.directory,
                env=self.launcher.environ(
                    LAUNCHER_TOKEN=TOKEN, GLOO_SOCKET_IFNAME=node.interface, OMP_NUM_THREADS="1"
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
            )
        job = Job(process, self.launcher.directory, name)
        job.words = words  # type: ignore[attr-defined]
        self.started.append(job)
        self.launcher._jobs.append(job)
        return job

    def start_all(self, count: int, *words: str) -> list[Job]:
        self.options = ["--nnodes", str(count), *words]
        return [self.start(self.cluster[rank], rank=rank) for rank in range(count)]

    def go(self) -> None:
        (self.launcher.directory / "go").touch()

    def losses(self) -> dict[int, float]:
        """The last loss of each step."""
        lines = (self.launcher.directory / "losses.ndjson").read_text().splitlines()
        return {step: loss for step, loss, _ in map(json.loads, lines)}

    def samples(self) -> list[int]:
        lines = (self.launcher.directory / "losses.ndjson").read_text().splitlines()
        by_step = {step: samples for step, _, samples in map(json.loads, lines)}
        return [sample for step in sorted(by_step) for sample in by_step[step]]


def said(job: Job) -> str:
    return job.words.read_text()  # type: ignore[attr-defined]


def wait_said(job: Job, text: str, timeout: float = 40.0) -> None:
    wait_until(lambda: text in said(job), f"{text!r} of {job._runs.name}, which said {said(job)}", timeout)


def output(job: Job) -> str:
    return "".join(path.read_text() for path in sorted(job._runs.glob("*/attempt-*/*.log")))


def wait_step(job: Job, attempt: int, step: int = 3, timeout: float = 60.0) -> None:
    def there() -> bool:
        logs = job._runs.glob(f"*/attempt-{attempt}/*.log")
        return any(f"step {step}" in path.read_text().split("\n", 1)[-1] for path in logs)

    wait_until(there, f"step {step} of attempt {attempt}: {output(job)} {said(job)}", timeout)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(4) as made:
        yield made


@pytest.fixture
def job(launcher: Launcher, cluster: Cluster) -> Job4Nodes:
    launcher.script(TRAIN)
    return Job4Nodes(launcher, cluster)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """Losses of three nodes that nothing happens to."""
    launcher = Launcher(tmp_path_factory.mktemp("undisturbed"))
    launcher.script(TRAIN)
    with Cluster(3) as made:
        job = Job4Nodes(launcher, made)
        job.go()
        for each in job.start_all(3):
            assert each.process.wait(90) == 0, said(each)
        return job.losses()


def finish(job: Job4Nodes, *launchers: Job) -> None:
    job.go()
    for each in launchers:
        assert each.process.wait(90) == 0, said(each) + output(each)


def test_a_killed_worker(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    launchers = job.start_all(3)
    for each in launchers:
        wait_step(each, 0)
    os.kill(launchers[1].worker_pid(1), signal.SIGKILL)
    finish(job, *launchers)
    assert job.losses() == undisturbed
    assert "rank 1 on node1" in said(launchers[0])
    assert "was killed by SIGKILL after 3 steps; restarting all workers (1 of 3)" in said(launchers[0])


def test_a_killed_agent_comes_again(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    launchers = job.start_all(3)
    for each in launchers:
        wait_step(each, 0)
    worker = launchers[2].worker_pid(2)
    launchers[2].process.kill()
    wait_until(lambda: not is_alive(worker), "its worker's end")
    wait_said(launchers[0], "is lost")
    again = job.start(job.cluster[2], rank=2)
    finish(job, *launchers[:2], again)
    assert job.losses() == undisturbed


def test_a_silent_cut(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    """The leader misses it, the node itself ends its workers, and it takes part again when it is back."""
    launchers = job.start_all(3)
    for each in launchers:
        wait_step(each, 0)
    workers = [each.worker_pid(rank) for rank, each in enumerate(launchers)]
    job.cluster[1].cut()
    wait_said(launchers[0], "is lost: nothing was heard of it")
    wait_said(launchers[1], "the leader at")
    wait_until(lambda: not any(map(is_alive, workers)), "all workers' end")
    wait_said(launchers[1], "ending the workers here, which are cut off from the others")
    job.cluster[1].restore()
    finish(job, *launchers)
    assert job.losses() == undisturbed


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_link_that_is_cut_in_one_direction(
    job: Job4Nodes, undisturbed: dict[int, float], direction: str
) -> None:
    launchers = job.start_all(3)
    for each in launchers:
        wait_step(each, 0)
    job.cluster[2].cut(direction)  # type: ignore[arg-type]
    wait_said(launchers[0], "is lost: nothing was heard of it")
    wait_said(launchers[2], "the leader at")
    job.cluster[2].restore()
    finish(job, *launchers)
    assert job.losses() == undisturbed


def test_the_leaders_agent_comes_again(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    launchers = job.start_all(3)
    for each in launchers:
        wait_step(each, 0)
    launchers[0].process.kill()
    wait_said(launchers[1], "the workers train on")
    again = job.start(job.cluster[0], rank=0)
    finish(job, again, *launchers[1:])
    assert job.losses() == undisturbed


def test_a_leader_is_succeeded(job: Job4Nodes) -> None:
    """Node 0 does not come back: the others go on as two, under a leader of their own."""
    job.options = ["--nnodes", "2:3"]
    launchers = [job.start(job.cluster[rank], rank=rank) for rank in range(3)]
    for each in launchers:
        wait_step(each, 0)
    job.cluster[0].cut()
    for each in launchers[1:]:
        wait_step(each, 1, step=4)
    job.go()
    for each in launchers[1:]:
        assert each.process.wait(90) == 0, said(each)
    assert sorted(job.samples()) == sorted(set(job.samples()))  # none twice
    wait_said(launchers[0], "1 of at least 2 nodes has not joined (gone: node1")
    launchers[0].signal(signal.SIGTERM)
    launchers[0].process.wait(30)


def test_a_coordinator_dies_and_comes_again(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    endpoint = f"{job.cluster[0].address}:{PORT}"
    command = [COMMAND, "coordinator", "--rdzv-endpoint", endpoint, "--rdzv-id", "shared"]
    first = job.popen(job.cluster[0], command)
    job.options = ["--nnodes", "3", "--rdzv-id", "shared"]
    launchers = [job.start(job.cluster[rank + 1], rank=rank) for rank in range(3)]
    for each in launchers:
        wait_step(each, 0)
    first.process.kill()
    for each in launchers:
        wait_said(each, "the workers train on")
    second = job.popen(job.cluster[0], command)
    wait_said(second, "all 3 nodes have come back: attempt 0 goes on")
    finish(job, *launchers, second)
    assert job.losses() == undisturbed
    assert "restarting" not in "".join(map(said, launchers))


def test_a_spare_takes_over(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    job.options = ["--nnodes", "3", "--spare-nodes", "1"]
    launchers = [job.start(job.cluster[rank], rank=rank) for rank in range(3)]
    for each in launchers:
        wait_step(each, 0)
    spare = job.start(job.cluster[3])
    wait_said(spare, "everything about this run")
    job.cluster[1].cut()
    wait_step(spare, 1, step=4)
    finish(job, launchers[0], launchers[2], spare)
    assert job.losses() == undisturbed
    launchers[1].signal(signal.SIGTERM)  # it waits to be let in again
    launchers[1].process.wait(90)


def test_three_become_two_and_three_again(job: Job4Nodes) -> None:
    job.options = ["--nnodes", "2:3"]
    launchers = [job.start(job.cluster[rank], rank=rank) for rank in range(3)]
    for each in launchers:
        wait_step(each, 0)
    job.cluster[2].cut()
    wait_step(launchers[0], 1, step=4)
    job.cluster[2].restore()
    wait_step(launchers[2], 2, step=5)
    finish(job, *launchers)
    assert "world 2" in output(launchers[0])
    assert output(launchers[0]).count("world 3") == 2
    samples = job.samples()
    assert len(samples) == len(set(samples))


def test_clocks_that_are_far_apart(job: Job4Nodes, undisturbed: dict[int, float]) -> None:
    """A quarter of an hour before and after: nothing compares clocks of two nodes."""
    job.options = ["--nnodes", "3"]
    launchers = []
    for rank, offset in enumerate((0, 900, 1800)):
        shifted = (
            ("unshare", "--time", "--monotonic", str(offset), "--boottime", str(offset)) if offset else ()
        )
        launchers.append(job.start(job.cluster[rank], rank=rank, prefix=shifted))
    for each in launchers:
        wait_step(each, 0)
    os.kill(launchers[2].worker_pid(2), signal.SIGKILL)
    finish(job, *launchers)
    assert job.losses() == undisturbed


def test_nothing_is_left(job: Job4Nodes) -> None:
    launchers = job.start_all(2)
    for each in launchers:
        wait_step(each, 0)
    launchers[0].signal(signal.SIGTERM)
    for each in launchers:
        assert each.process.wait(30) == 143, said(each)
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert f"{MARK}={job.launcher._mark}".encode() not in path.read_bytes()
        except OSError:
            continue  # it has ended
