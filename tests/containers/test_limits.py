"""Training state under the limits of a container: of memory, and of /dev/shm."""

import signal
import textwrap
from pathlib import Path

import pytest

from ma_training.agent.shim import WORKER_OOM_SCORE

from ..support import Job
from .podman import Containers
from .worker import HEAD

pytestmark = [pytest.mark.container, pytest.mark.timeout(90)]

# What a worker does until the kernel kills it.
HEAP = "held = [bytearray(MIB) for _ in range(4096)]"
# No process has these pages, and the worker has become a tiny one: for its size, the agent would go first.
OWNERLESS = """
    file = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR)  # gone with the worker
    os.dup2(file, 1)
    os.execlp("head", "head", "-c", "4G", "/dev/zero")
"""
RUNS_OUT = """
score = Path("/proc/self/oom_score_adj").read_text().strip()
print("score", score, "of the agent", Path("/proc/1/oom_score_adj").read_text().strip(), flush=True)
if attempt == 0:
    for step in range(1, 6):
        assert commit(step)
    {greed}
    sys.exit("was not killed")
assert commit(resume + 1)
print("ended at", restore(), flush=True)
"""


def start(containers: Containers, body: str, *words: str, memory: str, shm: str | Path, state: int) -> Job:
    (containers.directory / "train.py").write_text(HEAD + textwrap.dedent(body))
    return containers.start(*words, memory=memory, shm=shm, STATE_MIB=state)


def choice(job: Job) -> str:
    (line,) = (line for line in job.log().splitlines() if line.startswith("choice:"))
    return line


def saved(job: Job) -> tuple[int, str]:
    """Step and cause of the one checkpoint."""
    (event,) = job.events("checkpoint.saved")
    return event.data["step"], event.data["cause"]


@pytest.mark.parametrize("greed", [HEAP, OWNERLESS], ids=["heap", "ownerless"])
def test_out_of_memory_kills_the_worker_and_its_state_lives(containers: Containers, greed: str) -> None:
    job = start(
        containers,
        RUNS_OUT.format(greed=greed),
        memory="400m",
        shm="1g",
        state=30,
    )
    assert job.wait() == 0, job.stderr
    assert f"score {WORKER_OOM_SCORE} of the agent 0" in job.log()
    assert choice(job).startswith("choice: shm 3")
    assert "attempt 1 resumes at 5 told 5" in job.log(attempt=1) and "ended at 6" in job.log(attempt=1)
    failure = job.result["attempts"][0]["failure"]
    assert (failure["rank"], failure["status"], failure["oom"]) == (0, -9, True)
    assert saved(job) == (5, "oom")
    assert "out of memory" in job.stderr


SURVIVES_SIGKILL = """
if attempt == 0:
    for step in range(1, 6):
        assert commit(step)
    os.kill(os.getpid(), signal.SIGKILL)
assert commit(resume + 1)
print("ended at", restore(), "killed for memory:", OomCounters.read().cgroup, flush=True)
"""


def survives_sigkill(job: Job) -> None:
    assert job.wait() == 0, job.stderr
    assert "attempt 1 resumes at 5" in job.log(attempt=1)
    assert "ended at 6 killed for memory: 0\n" in job.log(attempt=1)
    (failed, ended) = job.result["attempts"]
    assert (failed["failure"]["status"], failed["failure"]["oom"]) == (-9, False)
    assert ended["failure"] is None


def test_a_small_shared_memory_takes_two_copies(containers: Containers) -> None:
    job = start(containers, SURVIVES_SIGKILL, memory="512m", shm="64m", state=28)
    survives_sigkill(job)
    assert choice(job) == (
        "choice: shm 2 /dev/shm leaves 64 MiB, 3 copies of 28.1 MiB need 84.2 MiB: 2 are kept, "
        "a step is skipped where one of them is being saved"
    )
    assert saved(job) == (5, "sigkill")


def test_a_smaller_one_takes_none_and_the_disk_does(containers: Containers) -> None:
    job = start(containers, SURVIVES_SIGKILL, memory="512m", shm="64m", state=40)
    survives_sigkill(job)
    assert choice(job).startswith(
        "choice: disk 3 /dev/shm leaves 64 MiB, 2 copies of 40.1 MiB need 80.1 MiB; "
    )
    assert saved(job) == (5, "sigkill")


LITTLE = {"memory": "250m", "shm": "1g"}  # room in shared memory, but the limit on memory is for that too


def test_the_memory_limit_counts_where_shared_memory_has_room(containers: Containers) -> None:
    """Two copies, a worker, an agent, and the process that saves: all of them under the limit."""
    job = start(containers, SURVIVES_SIGKILL, **LITTLE, state=70)
    survives_sigkill(job)
    assert choice(job).startswith("choice: shm 2 the container's memory limit leaves ")
    assert saved(job) == (5, "sigkill")


def test_more_than_the_memory_limit_goes_to_disk(containers: Containers) -> None:
    """Three copies are more than the limit: pages of a file on disk are given back, and none is killed."""
    job = start(containers, SURVIVES_SIGKILL, **LITTLE, state=100)
    survives_sigkill(job)
    assert choice(job).startswith("choice: disk 3 the container's memory limit leaves ")
    assert saved(job) == (5, "sigkill")


def test_what_is_made_without_asking_is_killed_for(containers: Containers) -> None:
    """The limit above is one that bites; and it takes the worker, not the agent, who says so."""
    body = """
    segment.path.unlink()
    Segment.create(memory / "rank-0.snap", schema, slots=3)
    """
    job = start(containers, body, "--max-restarts", 0, **LITTLE, state=100)
    assert job.wait() == 137, job.stderr
    assert "out of memory" in job.stderr and job.result["attempts"][0]["failure"]["oom"]


def test_a_container_that_is_stopped_has_its_state_saved(containers: Containers) -> None:
    """The launcher is process 1 there: it gets only the signals that it has asked for."""
    body = 'assert commit(3)\nprint("READY", flush=True)\nsignal.pause()'
    job = start(containers, body, memory="400m", shm="256m", state=10)
    job.wait_log("READY")
    job.signal(signal.SIGTERM)  # podman passes it on
    assert job.wait() == 75, job.stderr
    assert saved(job) == (3, "sigterm")


def test_a_container_that_is_killed_has_a_successor(containers: Containers, outliving: Path) -> None:
    """The agent with it, as cgroup v2 has it on Kubernetes; the volume outlives both."""
    body = """
    if not resume:
        assert commit(1) and commit(2)
        print("READY", flush=True)
        signal.pause()
    """
    first = start(containers, body, memory="400m", shm=outliving, state=20)
    first.wait_log("READY")
    containers.kill(first)
    assert first.wait() == 137
    (containers.directory / "runs").rename(containers.directory / "runs-of-the-first")
    (containers.directory / "runs").mkdir()
    second = start(containers, body, memory="400m", shm=outliving, state=20)
    assert second.wait() == 0, second.stderr
    assert "attempt 0 resumes at 2 told 2" in second.log()


def test_a_container_of_a_test_that_fails_is_removed(containers: Containers) -> None:
    job = start(containers, 'print("READY", flush=True)\nsignal.pause()', memory="400m", shm="256m", state=10)
    job.wait_log("READY")
    (name,) = containers.end()
    assert job.process.poll() is not None
    assert containers.end() == [] and name.startswith("ma-training-test-")
