"""One directory a job: who has it, who may take it over, and when it is removed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ma_training.snapshot import JobDirectory, Schema, Segment, SnapshotError, default_root, job_key, sweep

from ..support import is_alive

KEY, OTHER = job_key("digits"), job_key("other")

HOLD = """
import subprocess, sys
from pathlib import Path
from ma_training.snapshot import JobDirectory
directory = JobDirectory(Path(sys.argv[1]), sys.argv[2])
directory.acquire("digits")
child = subprocess.Popen(["cat"], close_fds=False)  # ends when the test closes its end
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def directory(root: Path) -> JobDirectory:
    return JobDirectory(root, KEY)


def die(directory: JobDirectory) -> None:
    """As an agent does: it lets go of the lock and of nothing else."""
    directory.release()


@contextmanager
def held(root: Path, key: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """An agent that has the directory, and the pid of a worker of its."""
    words = [sys.executable, "-c", HOLD, str(root), key]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


# Taking


def test_it_is_private(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    assert (root.stat().st_mode & 0o777, directory.path.stat().st_mode & 0o777) == (0o700, 0o700)
    assert all(child.stat().st_mode & 0o777 == 0o600 for child in directory.path.iterdir())
    assert default_root() == Path(f"/dev/shm/ma-training-{os.geteuid()}")
    directory.remove()


def test_a_living_owner_keeps_it_and_a_dead_one_does_not(root: Path, directory: JobDirectory) -> None:
    with held(root, KEY) as (process, worker):
        with pytest.raises(
            SnapshotError, match=f"belongs to a living agent: process {process.pid}, job 'digits'"
        ):
            directory.acquire("digits")
        Segment.create(directory.segment(0), Schema(()), slots=2).close()
        process.kill()
        process.wait()
        directory.acquire("digits")
        assert is_alive(worker)  # it has not inherited the lock
    assert directory.ranks() == [0]
    directory.release()


def test_one_process_takes_it_once(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    again = JobDirectory(root, KEY)
    with pytest.raises(SnapshotError, match="belongs to a living agent"):
        again.acquire("digits")
    die(directory)
    again.acquire("digits")
    again.remove()


def test_what_is_not_ours_is_not_touched(directory: JobDirectory) -> None:
    for act in (directory.touch, directory.remove):
        with pytest.raises(SnapshotError, match="is not ours"):
            act()
    directory.release()


@pytest.mark.parametrize("key", ["", "..", "a" * 31, "A" * 32, "a" * 33, "a" * 32 + "\n", "../" + "a" * 29])
def test_what_is_no_key(root: Path, key: str) -> None:
    with pytest.raises(SnapshotError, match="is no job's key"):
        JobDirectory(root, key)


@pytest.mark.parametrize("at", ["root", "path"])
def test_a_link_is_not_followed(root: Path, directory: JobDirectory, at: str) -> None:
    victim = root.with_name("victim")
    victim.mkdir(mode=0o700)
    link = getattr(directory, at)
    link.parent.mkdir(mode=0o700, exist_ok=True)
    for target in (victim, victim / "nowhere"):
        link.symlink_to(target)
        with pytest.raises(SnapshotError, match="not a directory, or a symbolic link"):
            directory.acquire("digits")
        link.unlink()
    link.write_text("")
    with pytest.raises(SnapshotError, match="not a directory, or a symbolic link"):
        directory.acquire("digits")
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("name", ["owner.lock", "../.lock"])
def test_a_lock_that_is_a_link_is_not_followed(root: Path, directory: JobDirectory, name: str) -> None:
    directory.path.mkdir(mode=0o700, parents=True)
    root.chmod(0o700)
    victim = root.with_name("victim")
    (directory.path / name).symlink_to(victim)
    with pytest.raises(SnapshotError, match=r"cannot lock .*lock: "):
        directory.acquire("digits")
    assert not victim.exists()


@pytest.mark.parametrize("at", ["root", "path"])
def test_what_others_may_enter_is_refused(directory: JobDirectory, at: str) -> None:
    path = getattr(directory, at)
    directory.path.mkdir(parents=True)
    directory.root.chmod(0o700)
    directory.path.chmod(0o700)
    path.chmod(0o750)
    with pytest.raises(
        SnapshotError, match=f"cannot use {path}: mode 0750 found, 0700 expected\nhint: chmod 700"
    ):
        directory.acquire("digits")


def test_what_belongs_to_another_is_refused(directory: JobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.path.mkdir(mode=0o700, parents=True)
    directory.root.chmod(0o700)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(SnapshotError, match=f"it belongs to user {uid}, not {uid + 1}"):
        directory.acquire("digits")


def test_no_room_for_the_owners_name(directory: JobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(JobDirectory, "_write_owner", full)
        with pytest.raises(SnapshotError, match=r"cannot write .*owner.json: No space left on device"):
            directory.acquire("digits")
    directory.acquire("digits")
    directory.remove()


# Segments


def test_segments_have_names(directory: JobDirectory) -> None:
    directory.acquire("digits")
    assert directory.ranks() == []
    assert directory.segment(12) == directory.path / "rank-12.snap"
    for rank in (12, 0, 3):
        Segment.create(directory.segment(rank), Schema(()), slots=2, rank=rank).close()
    for name in (
        "rank-01.snap",
        "rank--1.snap",
        "rank-1.snap.new",
        ".rank-1.snap.0.new",
        "rank-99999999.snap",
    ):
        (directory.path / name).write_text("")
    (directory.path / "rank-7.snap").symlink_to(directory.segment(0))
    (directory.path / "rank-8.snap").mkdir()
    assert directory.ranks() == [0, 3, 12]
    for rank in (-1, 1 << 30):
        with pytest.raises(SnapshotError, match=f"{rank} is no rank"):
            directory.segment(rank)
    directory.remove()
    assert directory.ranks() == []


# Removing


def test_what_has_ended_well_is_removed_at_once(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    Segment.create(directory.segment(0), Schema(()), slots=2).close()
    directory.remove()
    assert [child.name for child in root.iterdir()] == [".lock"]
    directory.acquire("digits")
    directory.remove()


def test_a_living_owners_is_never_swept(root: Path) -> None:
    with held(root, KEY) as (process, _):
        assert sweep(root, age=0, now=time.time() + 1e9) == []
        assert (root / KEY).exists()
        process.kill()
        process.wait()
        sweep(root, age=0, now=time.time() + 1)
        assert not (root / KEY).exists()


def touched(path: Path) -> float:
    return (path / "owner.lock").stat().st_mtime


def test_age_counts_from_the_last_touch(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    directory.segment(0).touch()
    os.utime(directory.path / "owner.json", (0, 0))  # it was acquired long ago
    directory.touch()
    die(directory)
    end = touched(directory.path)
    assert sweep(root, age=60, now=end + 59) == []
    assert sweep(root, age=60, now=end + 61) == [KEY]
    assert [child.name for child in root.iterdir()] == [".lock"]


def test_where_it_never_touched_age_counts_from_the_first_sweep(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    directory.segment(0).touch()
    die(directory)
    late = touched(directory.path) + 1_000_000  # it may have lived until just now
    assert sweep(root, age=60, now=late) == []
    assert sweep(root, age=60, now=late + 59) == []
    assert sweep(root, age=60, now=late + 61) == [KEY]


def test_a_fresh_agent_is_given_the_whole_age_again(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    directory.segment(0).touch()
    die(directory)
    sweep(root, age=60, now=time.time() - 50)
    directory.acquire("digits")
    die(directory)
    assert sweep(root, age=60, now=time.time() + 50) == []


def test_some_are_kept(root: Path) -> None:
    for key in (KEY, OTHER):
        directory = JobDirectory(root, key)
        directory.acquire("job")
        directory.segment(0).touch()
        die(directory)
    later = time.time() + 10
    assert sweep(root, age=5, now=later, keep=[KEY]) == []
    assert sweep(root, age=5, now=later + 10, keep=[KEY]) == [OTHER]
    assert (root / KEY).exists()


def test_a_half_made_directory_and_what_a_sweeper_left_are_swept(root: Path, directory: JobDirectory) -> None:
    directory.path.mkdir(mode=0o700, parents=True)
    root.chmod(0o700)
    left = root / ".gone-01234567-89abcdef"
    left.mkdir()
    (left / "rank-0.snap").write_text("x")
    assert sweep(root, age=60, now=time.time()) == [KEY]
    assert not left.exists()


def test_what_holds_no_state_is_swept_at_once(root: Path, directory: JobDirectory) -> None:
    directory.acquire("digits")
    assert sweep(root, age=60, now=time.time()) == []
    die(directory)
    assert sweep(root, age=60, now=time.time()) == [KEY]


def test_what_is_not_ours_is_not_swept(root: Path, directory: JobDirectory) -> None:
    victim = root.with_name("victim")
    victim.mkdir(mode=0o700)
    (victim / "file").write_text("x")
    root.mkdir(mode=0o700)
    (root / KEY).symlink_to(victim)
    (root / ".gone-link").symlink_to(victim)
    (root / OTHER).write_text("a file")
    (root / "unknown").mkdir()
    before = sorted(root.iterdir())
    assert sweep(root, age=0, now=time.time() + 1e9) == []
    assert sorted(root.iterdir()) == sorted([*before, root / ".lock"])
    assert (victim / "file").read_text() == "x"


def test_nothing_to_sweep(root: Path) -> None:
    assert sweep(root, age=0, now=0) == []
    root.symlink_to(root.with_name("nowhere"))
    with pytest.raises(SnapshotError, match="a symbolic link"):
        sweep(root, age=0, now=0)
