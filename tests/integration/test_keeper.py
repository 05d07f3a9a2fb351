"""The keeper in real jobs: workers commit to segments by hand, and die."""

import os
import shutil
import signal
import textwrap
from pathlib import Path

import pytest

from ma_training.checkpoint import CheckpointStore, load
from ma_training.snapshot import default_root, job_key
from tests.support import Job, Launcher, wait_until

from .test_many_nodes import Nodes, nodes, wait_for

__all__ = ["nodes"]

COMMITTER = """
import json, os, sys, time
from pathlib import Path
from ma_training.snapshot import LeafSpec, Schema, Segment

rank, attempt = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
directory = Path(os.environ.get("LAUNCHER_WORKER_SNAPSHOTS", "/nonexistent"))
path = directory / f"rank-{rank}.snap"
resume = int(os.environ.get("LAUNCHER_WORKER_RESUME_STEP", "0"))
leaves = [LeafSpec("rank/rng", "U8", (8,))]
if os.environ["LOCAL_RANK"] == "0":
    leaves.append(LeafSpec("shared/model", "F32", (1000,)))
schema = Schema(tuple(leaves))
segment = Segment.open(path) if path.exists() else Segment.create(path, schema, slots=3, rank=rank)
print("attempt", attempt, "resumes at", resume, flush=True)

def commit(step, byte=None):
    slot = segment.begin(step)
    byte = step % 100 if byte is None else byte
    slot.data[:] = bytes([byte]) * len(slot.data)
    stamp = {"step": step, "epoch": 0, "world_size": int(os.environ["WORLD_SIZE"])}
    slot.publish(json.dumps({"stamp": stamp, "shared": {}, "rank": {}}).encode())

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.005)
"""


def start(launcher: Launcher, body: str, *words: str, **env: str) -> Job:
    launcher.script(COMMITTER + textwrap.dedent(body))
    return launcher.start("--shutdown-timeout", "10s", *words, "train.py", env=env or None)


def store(launcher: Launcher) -> CheckpointStore:
    return CheckpointStore(launcher.directory / "runs" / "checkpoints" / "train")


def places(launcher: Launcher) -> list[Path]:
    identity = f"train {launcher.directory / 'runs' / 'checkpoints' / 'train'}"
    return [path for n in range(2) if (path := default_root() / job_key(f"{identity}#{n}")).exists()]


def test_a_killed_worker_resumes_from_memory_and_nothing_is_left(launcher: Launcher) -> None:
    job = start(
        launcher,
        """
        for step in range(resume + 1, 8):
            commit(step)
            if attempt == 0 and step == 5:
                open(f"at5-{rank}", "w").close()
                wait_for("at5-0"); wait_for("at5-1")
                if rank == 1:
                    os.kill(os.getpid(), 9)
                time.sleep(60)
        """,
        *("--nproc-per-node", "2"),
    )
    assert job.wait() == 0, job.stderr
    assert "attempt 1 resumes at 5" in job.log(attempt=1) and "attempt 0 resumes at 0" in job.log()
    (saved,) = job.events("checkpoint.saved")
    assert (saved.data["step"], saved.data["cause"]) == (5, "sigkill")
    assert store(launcher).entries() == []  # it ended well: the same command begins anew
    assert places(launcher) == []


def test_the_newest_step_that_all_have_is_saved_when_no_attempt_is_left(launcher: Launcher) -> None:
    job = start(
        launcher,
        """
        commit(1)
        commit(2)
        if rank == 0:
            commit(3)
        open(f"done-{rank}", "w").close()
        wait_for("done-0"); wait_for("done-1")
        if rank == 1:
            raise ValueError("bad luck")
        time.sleep(60)
        """,
        *("--nproc-per-node", "2", "--max-restarts", "0"),
    )
    assert job.wait() == 1
    entry, rejected = store(launcher).newest_valid()
    assert entry is not None and not rejected
    assert (entry.manifest.step, entry.manifest.cause.kind, entry.manifest.world_size) == (2, "exception", 2)
    assert "ValueError: bad luck" in entry.manifest.cause.text
    for rank in (0, 1):
        with load(entry, rank) as loaded:
            assert bytes(loaded.leaves["rank/rng"][1]) == bytes([2]) * 8
            assert bytes(loaded.leaves["shared/model"][1]) == bytes([2]) * 4000
    assert "resume   step 2 is in runs/checkpoints/train/step-000000002" in job.stderr
    assert job.result["checkpoint"]["step"] == 2
    assert places(launcher) == []


def test_a_job_that_is_preempted_saves_and_ends_with_75(launcher: Launcher) -> None:
    job = start(launcher, "commit(7); print('READY', flush=True); time.sleep(60)")
    job.wait_log("READY")
    job.signal(signal.SIGTERM)
    assert job.wait() == 75, job.stderr
    (entry,) = store(launcher).entries()
    assert (entry.manifest.step, entry.manifest.cause.kind) == (7, "sigterm")


def test_without_a_state_sigterm_is_143_as_ever(launcher: Launcher) -> None:
    job = start(launcher, "print('READY', flush=True); segment.close(); path.unlink(); time.sleep(60)")
    job.wait_log("READY")
    job.signal(signal.SIGTERM)
    assert job.wait() == 143


def test_a_fresh_agent_finds_what_a_killed_one_has_left(launcher: Launcher) -> None:
    job = start(launcher, "commit(4)\nprint('READY', flush=True)\ntime.sleep(60)")
    job.wait_log("READY")
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert places(launcher)
    again = launcher.start("train.py", runs="runs", env={"LAUNCHER_RUN_DIR": "runs"})
    wait_until(lambda: "resumes at 4" in _all_logs(again), "the second run to resume")
    again.signal(signal.SIGTERM)
    assert again.wait() == 75, again.stderr
    assert places(launcher) == []


def _all_logs(job: Job) -> str:
    return "".join(path.read_text() for path in (job.directory / "runs").rglob("node0-rank0.log"))


def test_a_script_asks_for_a_checkpoint(launcher: Launcher) -> None:
    job = start(
        launcher,
        """
        commit(3)
        (directory / "save-3").write_text(json.dumps({"kind": "periodic", "keep": 2}))
        wait_for("runs/checkpoints/train/step-000000003/manifest.json")
        """,
    )
    assert job.wait() == 0, job.stderr
    (entry,) = store(launcher).entries()  # it was asked for: it stays
    assert entry.manifest.cause.kind == "periodic"


def test_a_state_with_nan_does_not_replace_the_last_good_one(launcher: Launcher) -> None:
    job = start(
        launcher,
        """
        if attempt == 0:
            commit(1)
            sys.exit(3)
        commit(2, byte=255)  # four of them are a NaN
        sys.exit(4)
        """,
        *("--max-restarts", "1"),
    )
    assert job.wait() == 4
    entry, rejected = store(launcher).newest_valid()
    assert entry is not None and entry.manifest.step == 1 and not rejected
    assert "no checkpoint was written" in job.stderr and "shared/model" in job.stderr


def test_a_disk_that_takes_nothing_is_said_and_memory_stays(launcher: Launcher) -> None:
    (launcher.directory / "file").write_text("in the way")
    job = start(launcher, "commit(1); sys.exit(3)", "--max-restarts", "0", "--checkpoint-dir", "file/x")
    assert job.wait() == 3
    assert "no checkpoint was written" in job.stderr
    assert "the newest state is in memory only" in job.stderr
    (kept,) = [path for path in default_root().iterdir() if str(path) in job.stderr]
    for path in sorted(kept.iterdir()):
        path.unlink()
    kept.rmdir()


def test_switched_off(launcher: Launcher) -> None:
    launcher.script("import os; print('mode', os.environ['LAUNCHER_WORKER_SNAPSHOT_MODE'])")
    job = launcher.run("--snapshot", "off", "train.py")
    assert "mode off" in job.log() and places(launcher) == []


@pytest.mark.parametrize("value", ["ram", ""])
def test_a_place_that_there_is_not(launcher: Launcher, value: str) -> None:
    launcher.script("")
    job = launcher.run("--snapshot", value, "train.py")
    assert job.process.returncode == 64 and "--snapshot" in job.stderr


def test_a_second_job_of_the_same_name_has_a_place_of_its_own(launcher: Launcher) -> None:
    body = "commit(1)\nprint(directory, flush=True)\nwait_for('end')"
    first = start(launcher, body)
    first.wait_log("ma-training")
    second = launcher.start("train.py", runs="runs")
    wait_until(lambda: len(places(launcher)) == 2, "two places")
    wait_until(lambda: _all_logs(second).count("ma-training") == 2, "both to have started")
    (launcher.directory / "end").touch()
    assert (first.wait(), second.wait()) == (0, 0)
    assert places(launcher) == []


def test_of_two_nodes_the_survivor_saves_before_it_ends(nodes: Nodes) -> None:
    """Node 0, which saves for all where it can, is gone with the leader."""
    nodes.launcher.script(COMMITTER + "commit(6)\nprint('committed', flush=True)\ntime.sleep(60)")
    first, second = nodes.start_all(2)
    for rank, job in enumerate((first, second)):
        wait_for(job, rank, "committed")
    first.process.kill()
    assert second.wait(60) == 75, second.stderr
    entry, _ = CheckpointStore(second._runs / "checkpoints" / "train").newest_valid()
    assert entry is not None
    assert (entry.manifest.step, entry.manifest.cause.kind) == (6, "leader-lost")
    assert "resume   step 6 is in runs1/checkpoints/train/step-000000006" in second.stderr
    first.wait()
    left = default_root() / job_key(f"train {first._runs / 'checkpoints' / 'train'}#0")
    shutil.rmtree(left)  # of an agent that was killed
