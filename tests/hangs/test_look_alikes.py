"""What looks like a hang and is none, live: nothing is ended, and the job finishes."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Job, Launcher, wait_until

SCRIPT = Path(__file__).with_name("look_alike.py")
pytestmark = [pytest.mark.hangs, pytest.mark.timeout(300)]
CPU = Path("/sys/fs/cgroup/cpu")
STOPPED_FOR = 15.0  # seconds

# Those that are quiet for longer than a step may take: the watchdog must have looked, and let go.
SUSPICIOUS = ("evaluation", "compile", "checkpoint", "rank_0_saves", "copy", "pause")
OTHERS = ("collection", "first_step", "bursty", "growing", "nothing")


def start(launcher: Launcher, kind: str) -> Job:
    environment = {"ZOO_DIRECTORY": str(launcher.directory)}
    return launcher.start("--nproc-per-node", 2, "--max-restarts", 0, SCRIPT, kind, env=environment)


def finished(job: Job) -> None:
    assert job.wait(200) == 0, job.stderr
    assert job.events("worker.hung") == []
    assert job.log(1) == "trained\n"


@pytest.mark.parametrize("kind", SUSPICIOUS)
def test_a_long_quiet_time_is_looked_into_and_left_alone(launcher: Launcher, kind: str) -> None:
    job = start(launcher, kind)
    finished(job)
    assert job.events("watchdog.suspect")
    assert len(job.events("watchdog.cleared")) == len(job.events("watchdog.suspect"))


@pytest.mark.parametrize("kind", OTHERS)
def test_irregular_steps_are_no_hang(launcher: Launcher, kind: str) -> None:
    finished(start(launcher, kind))


def training(launcher: Launcher) -> None:
    marks = [launcher.directory / f"training-{rank}" for rank in range(2)]
    wait_until(lambda: all(mark.exists() for mark in marks), "10 steps of both ranks", 60)


def test_a_job_that_was_stopped_and_continued(launcher: Launcher) -> None:
    job = start(launcher, "stopped")
    training(launcher)
    job.signal(signal.SIGTSTP)
    time.sleep(STOPPED_FOR)  # the whole tree stands still for this long: that is the thing tested
    job.signal(signal.SIGCONT)
    finished(job)


def test_workers_that_others_have_stopped_and_continued(launcher: Launcher) -> None:
    """As a container is paused, but for the agent."""
    job = start(launcher, "stopped")
    training(launcher)
    pids = [job.worker_pid(rank) for rank in range(2)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_FOR)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    finished(job)


@pytest.fixture
def throttled() -> Iterator[Path]:
    """A cgroup that may use a tenth of a core."""
    group = CPU / f"ma-training-test-{os.getpid()}"
    group.mkdir()
    (group / "cpu.cfs_quota_us").write_text("10000")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text().split(), "the end of what runs there", 60)
    group.rmdir()


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access(CPU / "cpu.cfs_quota_us", os.W_OK), reason="needs root and cgroup v1"
)
def test_a_throttled_job(launcher: Launcher, throttled: Path) -> None:
    job = start(launcher, "nothing")
    training(launcher)
    for rank in range(2):
        (throttled / "cgroup.procs").write_text(str(job.worker_pid(rank)))
    finished(job)
