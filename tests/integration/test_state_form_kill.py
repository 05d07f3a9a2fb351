"""A state that changes its form gets another file: whenever that is interrupted, the older one is there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.snapshot import JobDirectory, Segment, job_key

pytestmark = pytest.mark.timeout(300)

# One commit of one form, one of another. Every number of a state is its step.
WORKER = """
import numpy
from ma_training import TrainingState
from ma_training.snapshot import memory_file
memory_file.secrets.token_hex = lambda _: "0000"  # a name that strace can be told
parts = {"a": numpy.zeros(2000)}
state = TrainingState(parts=parts)
restored = state.restore()
for step in range(state.step + 1, 3):
    parts["a"].fill(step)
    if step == 2:
        parts["b"] = numpy.full(70_000, 2.0)
    state.commit()
    print(step, flush=True)
"""


@pytest.fixture
def agent() -> Iterator[JobDirectory]:
    """In real shared memory, where there is some."""
    shm = Path("/dev/shm")
    root = (shm if os.access(shm, os.W_OK) else Path.cwd()) / f"ma-training-test-{os.urandom(6).hex()}"
    directory = JobDirectory(root, job_key("job"))
    directory.acquire("job")
    yield directory
    directory.release()
    shutil.rmtree(root)


def work(
    agent: JobDirectory, inject: str = "", resume: int | None = None
) -> "tuple[subprocess.CompletedProcess[str], list[str]]":
    """What the worker said, and those of its calls that touch its files."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    trace = agent.root / "trace"
    path = agent.segment(0)
    unfinished = [path, path.with_name(".rank-0.snap.next"), *(agent.path / f".{n}.0000.new" for n in NEXT)]
    words = [strace, "-f", "-o", str(trace), *(word for one in unfinished for word in ("-P", str(one)))]
    words += ["-e", f"inject={inject}"] if inject else []
    env = {
        "LAUNCHER_WORKER_SNAPSHOTS": str(agent.path),
        "LAUNCHER_WORKER_CHECKPOINTS": str(agent.root / "saved"),
        "LAUNCHER_WORKER_IDENTITY": "job",
    } | ({} if resume is None else {"LAUNCHER_WORKER_RESUME_STEP": str(resume)})
    command = [*words, sys.executable, "-c", WORKER]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True)
    calls = [line.split()[1].partition("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    return done, calls


NEXT = ("rank-0.snap", ".rank-0.snap.next")


def newest(agent: JobDirectory) -> int:
    """The step that is there, all of it; 0 where there is none yet."""
    if not agent.segment(0).exists():
        return 0
    segment = Segment.open(agent.segment(0))
    states = segment.states()
    for state in states:
        for spec in state.schema.leaves:
            if spec.name.startswith("shared/parts/"):
                assert set(state.leaf(spec.name).cast("d")) == {float(state.step)}, (state.step, spec.name)
    segment.close()
    return states[0].step if states else 0


def clear(agent: JobDirectory) -> None:
    for path in agent.path.glob("*rank-*"):
        path.unlink()
    for path in agent.path.glob(".*rank-*"):
        path.unlink()


def test_killed_at_every_system_call(agent: JobDirectory) -> None:
    done, calls = work(agent)
    assert (done.returncode, done.stdout) == (0, "1\n2\n"), done.stderr
    assert (
        calls.count("rename") == 4
    )  # two files, each made under another name, and named when it has a state
    for number, call in enumerate(calls):
        if call in calls[:number] and call in ("newfstatat", "close", "pwrite64", "lseek") and number % 3:
            continue  # of what reads and of what is many times alike, each third
        clear(agent)
        done, before = work(agent, f"{call}:signal=SIGKILL:when={calls[: number + 1].count(call)}")
        said = [int(line) for line in done.stdout.split()]
        assert before == calls[: number + 1], (number, call)
        found = newest(agent)
        assert max(said, default=0) <= found <= max(said, default=0) + 1, (number, call)
        again, _ = work(agent, resume=found or None)
        assert again.returncode == 0, again.stderr
        assert again.stdout.split() == ["1", "2"][found:]
        assert newest(agent) == 2
        left = {path.name for path in agent.path.iterdir() if "rank" in path.name}
        assert left == {"rank-0.snap"}, (number, call)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_call_that_fails_costs_no_training_and_not_the_older_state(agent: JobDirectory, error: str) -> None:
    _, calls = work(agent)
    for call in ("openat", "fallocate", "pwrite64", "mmap", "rename"):
        clear(agent)
        done, _ = work(
            agent, f"{call}:error={error}:when={calls.count(call)}"
        )  # its last: of the second file
        assert (done.returncode, done.stdout) == (0, "1\n2\n"), (call, done.stderr)
        assert newest(agent) == 1, call
        assert "no snapshots of rank 0: " in done.stderr
        left = {path.name for path in agent.path.iterdir() if "rank" in path.name}
        assert left == {"rank-0.snap"}, call
