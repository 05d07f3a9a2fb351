"""Jobs of several nodes: launchers on this machine's loopback, each with workers of its own."""

import json
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from ma_training.agent.ports import HeldPort
from ma_training.testing import FakeNode
from tests.support import Job, Launcher, is_alive, wait_until

TOKEN = "0123456789abcdef-token"
SLEEPER = """
    import os, time
    print("attempt", os.environ["TORCHELASTIC_RESTART_COUNT"], "rank", os.environ["RANK"], flush=True)
    while not os.path.exists("finish"):
        time.sleep(0.01)
"""


class Nodes:
    """Launchers of one job. Each keeps its run in a directory of its own, as on disks of their own."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        held = HeldPort()
        self.port = held.port
        held.close()
        self.options: list[str] = []

    def start(
        self,
        node: int,
        *words: str,
        name: str = "",
        token: str = TOKEN,
        ranked: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Job:
        """The launcher of node ``node``; ``words`` come before the script."""
        rank = ["--node-rank", str(node)] if ranked else []
        return self.launcher.start(
            *("--rdzv-endpoint", f"127.0.0.1:{self.port}", "--shutdown-timeout", "5s"),
            *(*self.options, *rank, *words, "train.py"),
            runs=name or f"runs{node}",
            env={"LAUNCHER_TOKEN": token, **(env or {})},
        )

    def start_all(self, count: int, *words: str) -> list[Job]:
        self.options = ["--nnodes", str(count), *words]
        return [self.start(node) for node in range(count)]

    def finish(self) -> None:
        (self.launcher.directory / "finish").touch()


@pytest.fixture
def nodes(launcher: Launcher) -> Nodes:
    launcher.script(SLEEPER)
    return Nodes(launcher)


def lines(job: Job, rank: int) -> str:
    """What a rank has written in all attempts, wherever its log is."""
    logs = sorted(job._runs.glob(f"*/attempt-*/*-rank{rank}.log"))
    return "".join(path.read_text() for path in logs)


def wait_for(job: Job, rank: int, text: str) -> None:
    wait_until(lambda: text in lines(job, rank), f"{text!r} of rank {rank}")


def test_a_failure_anywhere_restarts_all(nodes: Nodes) -> None:
    nodes.launcher.script("""
        import os, time
        rank, attempt = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]
        print(attempt, os.environ["MASTER_PORT"], flush=True)
        open(f"started-{rank}", "w").close()
        if rank == "3" and attempt == "0":
            while not all(os.path.exists(f"started-{other}") for other in range(4)):
                time.sleep(0.01)
            raise ValueError("bad luck")
        if attempt == "0":
            time.sleep(60)
    """)
    jobs = nodes.start_all(2, "--nproc-per-node", "2")
    for node, job in enumerate(jobs):
        assert job.wait() == 0, job.stderr
        assert "rank 3 on node1" in job.stderr
        assert "raised ValueError: bad luck; restarting all workers (1 of 3)" in job.stderr
        assert job.result["restarts"] == 1
        for rank in (2 * node, 2 * node + 1):
            first, second = (line.split() for line in lines(job, rank).splitlines() if line[0] in "01")
            assert (first[0], second[0]) == ("0", "1")
            assert first[1] != second[1]  # no attempt meets where another one met


def test_one_budget_for_all(nodes: Nodes) -> None:
    """Node 0's worker and node 1's take turns to fail; the job has three attempts, not six."""
    nodes.launcher.script("""
        import os, sys
        attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
        if int(os.environ["RANK"]) == attempt % 2:
            sys.exit(10 + attempt)
        import time
        time.sleep(60)
    """)
    jobs = nodes.start_all(2, "--max-restarts", "2")
    for job in jobs:
        assert job.wait() == 12, job.stderr
        assert len(job.result["attempts"]) == 3
        assert "all 2 restarts are used up" in job.stderr
        assert "rank 0 (node0" in job.stderr


def test_the_culprit_is_named_across_nodes(nodes: Nodes) -> None:
    """Node 0 loses its peer and says so first; the cause is on node 1, which is still cleaning up."""
    nodes.launcher.script("""
        import os, time
        if os.environ["RANK"] == "0":
            while not os.path.exists("raised"):
                time.sleep(0.01)
            raise ConnectionResetError("Connection reset by peer")
        try:
            raise KeyError("the cause")
        finally:
            open("raised", "w").close()
            time.sleep(60)
    """)
    for job in nodes.start_all(2, "--max-restarts", "0"):
        assert job.wait() == 1
        assert "rank 1 (node1" in job.stderr, job.stderr
        assert "raised KeyError: 'the cause'" in job.stderr


def test_a_lost_node_is_replaced_by_a_spare(nodes: Nodes) -> None:
    nodes.options = ["--nnodes", "2", "--spare-nodes", "1"]
    first, second = nodes.start(0), nodes.start(1)
    wait_for(second, 1, "attempt 0 rank 1")
    spare = nodes.start(2, ranked=False)
    wait_until(lambda: spare._runs.exists() and list(spare._runs.iterdir()), "the spare to join")
    victim = second.worker_pid(1)
    second.process.kill()
    wait_for(spare, 1, "attempt 1 rank 1")
    wait_for(first, 0, "attempt 1 rank 0")
    wait_until(lambda: not is_alive(victim), "the lost node's worker to be gone")
    nodes.finish()
    assert first.wait() == 0, first.stderr
    assert spare.wait() == 0, spare.stderr
    assert "node1" in first.stderr and "is lost" in first.stderr
    assert "restarting all workers (1 of 3)" in first.stderr
    second.wait()


def test_a_node_with_a_hardware_fault_leaves_to_a_spare(nodes: Nodes) -> None:
    """Node 1's worker fails, and its GPU is found broken: the node goes, a spare comes."""
    node = FakeNode(nodes.launcher.directory / "node")
    node.add_gpus(1)
    broken = {"PATH": f"{node.bin}:{os.environ['PATH']}", "NODE_NAME": "bad-node"}
    broken["NVIDIA_VISIBLE_DEVICES"] = "all"
    nodes.launcher.script("""
        import os, sys, time
        attempt, rank = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["RANK"]
        print("attempt", attempt, "rank", rank, flush=True)
        while not os.path.exists("finish"):
            if rank == "1" and attempt == "0" and os.path.exists("break"):
                sys.exit(5)
            time.sleep(0.01)
    """)
    nodes.options = ["--nnodes", "2", "--spare-nodes", "1"]
    first, second = nodes.start(0), nodes.start(1, env=broken)
    wait_for(second, 1, "attempt 0 rank 1")
    spare = nodes.start(2, ranked=False)
    wait_until(lambda: spare._runs.exists() and list(spare._runs.iterdir()), "the spare to join")
    node.gpus[0].remap_failed = True
    node.say_gpus()
    (nodes.launcher.directory / "break").touch()
    assert second.wait() == 69, second.stderr
    assert "hardware fault on bad-node: gpu-ecc: GPU 0" in second.stderr
    wait_for(spare, 1, "attempt 1 rank 1")
    wait_for(first, 0, "attempt 1 rank 0")
    nodes.finish()
    assert first.wait() == 0, first.stderr
    assert spare.wait() == 0, spare.stderr
    assert "hardware fault on bad-node" in first.stderr
    again = nodes.start(1, "--precheck", "on", name="runs1", env=broken)
    assert again.wait() == 69
    assert "bad-node is isolated until" in again.stderr


def test_a_leader_with_a_hardware_fault_is_succeeded(nodes: Nodes) -> None:
    node = FakeNode(nodes.launcher.directory / "node")
    node.add_gpus(1)
    broken = {"PATH": f"{node.bin}:{os.environ['PATH']}", "NODE_NAME": "bad-node"}
    broken["NVIDIA_VISIBLE_DEVICES"] = "all"
    nodes.launcher.script("""
        import os, sys, time
        attempt, rank = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["RANK"]
        print("attempt", attempt, "rank", rank, flush=True)
        while not os.path.exists("finish"):
            if rank == "0" and attempt == "0" and os.path.exists("break"):
                sys.exit(5)
            time.sleep(0.01)
    """)
    nodes.options = ["--nnodes", "2:3"]
    jobs = [nodes.start(0, env=broken)]
    wait_until(lambda: jobs[0]._runs.exists(), "the leader")
    jobs += [nodes.start(number, ranked=False) for number in (1, 2)]
    wait_for(jobs[0], 0, "attempt 0 rank 0")
    node.gpus[0].remap_failed = True
    node.say_gpus()
    (nodes.launcher.directory / "break").touch()
    assert jobs[0].wait() == 69, jobs[0].stderr
    assert "hardware fault on bad-node" in jobs[0].stderr
    nodes.finish()
    for job in jobs[1:]:
        assert job.wait(60) == 0, job.stderr


def test_a_node_that_fails_its_precheck_does_not_join(nodes: Nodes) -> None:
    nodes.options = ["--nnodes", "1:2"]
    full = ("--precheck", "on", "--precheck-limits", "root=1000TB")
    unfit = nodes.start(1, *full, ranked=False, env={"MA_VJ_NAME": "x", "NODE_NAME": "full-node"})
    assert unfit.wait() == 69
    assert "precheck failed on full-node:\n    disk-size root: " in unfit.stderr
    nodes.finish()
    first = nodes.start(0)
    assert first.wait(60) == 0, first.stderr


def test_an_elastic_job_shrinks_and_grows(nodes: Nodes) -> None:
    nodes.options = ["--nnodes", "2:3"]
    jobs = [nodes.start(0)]  # it leads: here, where all addresses are every node's own
    wait_until(lambda: jobs[0]._runs.exists(), "the leader")
    jobs += [nodes.start(node, ranked=False) for node in (1, 2)]
    wait_for(jobs[0], 0, "attempt 0 rank 0")
    jobs[2].process.kill()
    wait_for(jobs[0], 0, "attempt 1 rank 0")
    assert "this is node 0 of 2" in wait_words(jobs[0], "of 2")
    jobs.append(nodes.start(3, ranked=False))
    wait_for(jobs[0], 0, "attempt 2 rank 0")
    nodes.finish()
    for job in (jobs[0], jobs[1], jobs[3]):
        assert job.wait() == 0, job.stderr
    jobs[2].wait()
    assert jobs[0].result["restarts"] == 1, jobs[0].stderr  # growing is not a failure


def wait_words(job: Job, text: str) -> str:
    """Events tell before stderr can be read to its end."""

    def found() -> str:
        plans = [event.data for event in job.events("attempt.started")]
        return "this is node 0 of 2" if len(plans) > 1 else ""

    return wait_until(found, text)


def test_a_signal_at_the_leader_ends_the_job(nodes: Nodes) -> None:
    jobs = nodes.start_all(3)
    for rank, job in enumerate(jobs):
        wait_for(job, rank, "attempt 0")
    jobs[0].signal(signal.SIGTERM)
    for job in jobs:
        assert job.wait() == 143, job.stderr
        assert job.result["outcome"] == "stopped"


def test_of_two_nodes_the_survivor_of_the_leader_ends(nodes: Nodes) -> None:
    first, second = nodes.start_all(2)
    wait_for(second, 1, "attempt 0")
    worker = second.worker_pid(1)
    first.process.kill()
    assert second.wait(60) == 75, second.stderr
    assert "neither can go on alone" in " ".join(second.stderr.split())
    assert not is_alive(worker)
    first.wait()


def test_a_successor_leads_on(nodes: Nodes) -> None:
    """Of three nodes the leader is lost: the others agree on a new one, whose first attempt has no node 0."""
    jobs = nodes.start_all(3)
    for rank, job in enumerate(jobs):
        wait_for(job, rank, "attempt 0")
    jobs[0].process.kill()
    jobs[0].wait()
    replacement = nodes.start(0, name="again")
    wait_for(jobs[1], 1, "attempt 1 rank 1")
    wait_for(replacement, 0, "attempt 1 rank 0")
    nodes.finish()
    for job in (*jobs[1:], replacement):
        assert job.wait(60) == 0, job.stderr


def test_a_coordinator_may_be_started_again(nodes: Nodes) -> None:
    """Workers train on without it, and nothing is restarted when it is back."""
    coordinator = start_coordinator(nodes)
    nodes.options = ["--nnodes", "2", "--rdzv-id", "shared"]
    jobs = [nodes.start(node) for node in range(2)]
    for rank, job in enumerate(jobs):
        wait_for(job, rank, "attempt 0")
    workers = [job.worker_pid(rank) for rank, job in enumerate(jobs)]
    coordinator.process.kill()
    coordinator.wait()
    coordinator = start_coordinator(nodes)
    assert all(map(is_alive, workers))
    nodes.finish()
    for job in jobs:
        assert job.wait() == 0, job.stderr
        assert len(job.result["attempts"]) == 1
        assert "is gone" in job.stderr and "the workers train on" in job.stderr
    assert coordinator.wait() == 0, coordinator.stderr
    assert "all 2 nodes have come back: attempt 0 goes on" in coordinator.stderr


def start_coordinator(nodes: Nodes) -> Job:
    import subprocess

    from tests.support import COMMAND

    process = subprocess.Popen(
        [COMMAND, "coordinator", "--rdzv-endpoint", f"127.0.0.1:{nodes.port}", "--rdzv-id", "shared"],
        cwd=nodes.launcher.directory,
        env=nodes.launcher.environ(LAUNCHER_TOKEN=TOKEN),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    job = Job(process, nodes.launcher.directory, "none")
    nodes.launcher._jobs.append(job)

    def leads() -> bool:  # before node 0, which would lead at this address itself
        try:
            socket.create_connection(("127.0.0.1", nodes.port)).close()
            return True
        except OSError:
            return False

    wait_until(leads, "the coordinator")
    return job


# --- what is refused, and does not disturb ---


def test_a_wrong_token_is_refused(nodes: Nodes) -> None:
    first = nodes.start(0, "--nnodes", "2")
    stranger = nodes.start(1, "--nnodes", "2", name="stranger", token="another-token-of-16")
    assert stranger.wait() == 64
    assert "cannot join the job" in stranger.stderr and "token" in stranger.stderr, stranger.stderr
    second = nodes.start(1, "--nnodes", "2")
    nodes.finish()
    assert second.wait() == 0, second.stderr
    assert first.wait() == 0
    assert "was refused" in first.stderr
    assert TOKEN not in first.stderr + stranger.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nnodes", "3"), "--nnodes 3 where the job has 2"),
        (("--nnodes", "2", "--nproc-per-node", "2"), "--nproc-per-node 2 where the job has 1"),
        (("--nnodes", "2", "--max-restarts", "7"), "--max-restarts 7 where the job has 3"),
        (("--nnodes", "2", "--spare-nodes", "1"), "--spare-nodes 1 where the job has 0"),
    ],
)
def test_an_agent_of_other_terms_is_refused(nodes: Nodes, words: tuple[str, ...], said: str) -> None:
    first = nodes.start(0, "--nnodes", "2")
    wait_until(lambda: first._runs.exists() and list(first._runs.iterdir()), "the leader")
    other = nodes.start(1, *words, name="other")
    assert other.wait() == 64
    assert said in other.stderr
    second = nodes.start(1, "--nnodes", "2")
    nodes.finish()
    assert (first.wait(), second.wait()) == (0, 0)
    assert "was refused: node1" in first.stderr or said in first.stderr


def test_a_node_rank_is_given_once(nodes: Nodes) -> None:
    jobs = nodes.start_all(2)
    wait_for(jobs[1], 1, "attempt 0")
    third = nodes.start(1, name="third")
    assert third.wait() == 64
    assert "node rank 1" in third.stderr and "already" in third.stderr
    nodes.finish()
    for job in jobs:
        assert job.wait() == 0
        assert len(job.result["attempts"]) == 1


def test_one_node_too_many(nodes: Nodes) -> None:
    jobs = nodes.start_all(2)
    wait_for(jobs[1], 1, "attempt 0")
    third = nodes.start(2, name="third", ranked=False)
    assert third.wait() == 64
    assert "the job has its 2 nodes" in third.stderr
    nodes.finish()
    assert [job.wait() for job in jobs] == [0, 0]


def test_garbage_at_the_port_does_no_harm(nodes: Nodes) -> None:
    jobs = nodes.start_all(2)
    wait_for(jobs[1], 1, "attempt 0")
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 70000, b"MATC"):
        with socket.create_connection(("127.0.0.1", nodes.port)) as stranger:
            try:
                stranger.sendall(data)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(4096):
                    pass
            except OSError:
                pass  # it was thrown out
    nodes.finish()
    assert [job.wait() for job in jobs] == [0, 0]
    assert "was refused" in jobs[0].stderr


def test_who_is_missing_ends_with_names(nodes: Nodes) -> None:
    job = nodes.start(0, "--nnodes", "3", "--nproc-per-node", "2", "--join-timeout", "1s")
    assert job.wait() == 69, job.stderr
    assert "ranks 2, 3 (node1), ranks 4, 5 (node2) have not joined after 1.0 s" in job.stderr


def test_no_leader_is_said(nodes: Nodes) -> None:
    job = nodes.start(1, "--nnodes", "2", "--join-timeout", "1s", "--master-addr", "127.0.0.1")
    assert job.wait() in (69, 75), job.stderr


def test_a_host_that_does_not_resolve_is_said(nodes: Nodes) -> None:
    nodes.options = ["--nnodes", "2", "--master-addr", "no-such-host.invalid"]
    env = {"LAUNCHER_TOKEN": TOKEN, "RES_OPTIONS": "timeout:1 attempts:1"}
    job = nodes.launcher.start(
        "--join-timeout", "4s", *nodes.options, "--node-rank", "1", "train.py", env=env
    )
    assert job.wait() == 69, job.stderr
    assert "waiting for the leader: no-such-host.invalid does not resolve" in job.stderr
    shown = nodes.launcher.run_bare("env", *nodes.options, "--node-rank", "1", env=env).stdout
    assert "no-such-host.invalid does not resolve" in shown
    assert "named by --master-addr" in shown


def test_a_platform_is_told_in_its_own_codes(nodes: Nodes) -> None:
    """Kubeflow takes codes below 128 for the last word; that nodes were missing is not."""
    env = {
        "MASTER_ADDR": "127.0.0.1",
        "RANK": "0",
        "WORLD_SIZE": "2",
        "PET_NNODES": "2",
        "PET_NODE_RANK": "0",
    }
    env |= {"MASTER_PORT": str(nodes.port), "LAUNCHER_TOKEN": TOKEN}
    job = nodes.launcher.run("--join-timeout", "1s", "train.py", env=env)
    assert job.process.returncode == 128 + 69, job.stderr


def test_a_token_file(nodes: Nodes) -> None:
    path = nodes.launcher.directory / "token"
    path.write_text(TOKEN)
    path.chmod(0o644)
    job = nodes.start(0, "--nnodes", "2", "--token-file", str(path))
    assert job.wait() == 64
    assert "can be read by others" in job.stderr and "chmod 600" in job.stderr
    path.chmod(0o600)
    first = nodes.start(0, "--nnodes", "2", "--token-file", str(path), name="first", token="")
    second = nodes.start(1, "--nnodes", "2", name="second")
    nodes.finish()
    assert (first.wait(), second.wait()) == (0, 0), first.stderr + second.stderr


def test_one_run_directory_where_disks_are_shared(nodes: Nodes) -> None:
    nodes.options = ["--nnodes", "2"]
    jobs = [nodes.start(node, name="runs") for node in range(2)]
    nodes.finish()
    for job in jobs:
        assert job.wait() == 0, job.stderr
    run = jobs[0].run
    assert {path.name for path in (run / "events").iterdir()} == {"node0.ndjson", "node1.ndjson"}
    assert {path.name for path in (run / "attempt-0").iterdir()} >= {"node0-rank0.log", "node1-rank1.log"}
    assert json.loads((run / "result.json").read_text())["outcome"] == "succeeded"
    assert TOKEN not in "".join(path.read_text() for path in Path(run).rglob("*") if path.is_file())
    assert run.stat().st_mode & 0o077 == 0
