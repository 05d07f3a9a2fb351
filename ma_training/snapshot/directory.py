"""The directory that holds one job's segments, and who it belongs to.

    /dev/shm/ma-training-<uid>/      0700, one a user
        .lock                        held for microseconds by who takes, gives or removes a directory
        <key>/                       one a job, for all its attempts and agents
            owner.lock               held by the living agent (flock); its mtime: when it last said so
            owner.json               {job, pid, started}
            rank-<r>.snap

A lock ends with its holder, however that ends, so a dead agent's directory can be known at once. A fresh
agent of the same job takes it over; what nobody takes over is removed in time by the agents of others.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from .errors import SnapshotError

MAX_RANK = 1 << 20
_KEY = re.compile(r"[0-9a-f]{32}")
_SEGMENT = re.compile(r"rank-(0|[1-9][0-9]{0,6})\.snap")
_GONE = ".gone-"  # being removed
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def default_root() -> Path:
    return Path(f"/dev/shm/ma-training-{os.geteuid()}")


def job_key(identity: str) -> str:
    """The directory's name for a job's resume identity: the same for each run that may continue it.

    >>> job_key("digits")
    'cc6b6bad31a0ff4d6dfd4953a6346a1c'
    """
    return sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]


class JobDirectory:
    """One job's. Only `acquire` makes it ours; the rest may be asked by anyone."""

    def __init__(self, root: Path, key: str) -> None:
        """Raises SnapshotError for a key that `job_key` does not make."""
        if not _KEY.fullmatch(key):
            raise SnapshotError(f"{key!r} is no job's key: 32 hex digits are")
        self.root, self.path = root, root / key
        self._lock: int | None = None

    def acquire(self, job: str) -> None:
        """Makes it or takes it over, with what a dead agent left in it, for as long as this process lives.

        Raises SnapshotError where a living one has it, or where it may not be used.
        """
        _make(self.root, parents=True)
        with _exclusive(self.root):
            _make(self.path)
            lock = _try_lock(self.path)
            if lock is None:
                raise SnapshotError(f"{self.path} belongs to a living agent: {self._owner()}")
            self._lock = lock
            self._sign(job)

    def touch(self) -> None:
        """Says that the owner lives, for `sweep` to count from when it does no more. Of use each minute."""
        if self._lock is None:
            raise SnapshotError(f"{self.path} is not ours")
        os.utime(self._lock)

    def segment(self, rank: int) -> Path:
        """Where a rank's segment is, or is to be made."""
        if not 0 <= rank <= MAX_RANK:
            raise SnapshotError(f"{rank} is no rank: 0 to {MAX_RANK} are")
        return self.path / f"rank-{rank}.snap"

    def ranks(self) -> list[int]:
        """Those that have a segment here, ascending. What else lies here, links among it, is passed over."""
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(int(found[1]) for name in names if (found := _SEGMENT.fullmatch(name)))

    def release(self) -> None:
        """Leaves it for the next agent of this job. A process's end does so too."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Of a job that has ended well. Raises SnapshotError where it is not ours."""
        self.touch()
        with _exclusive(self.root):
            gone = _set_aside(self.path)
        self.release()
        shutil.rmtree(gone, ignore_errors=True)  # what stays, a sweep removes

    def _owner(self) -> str:
        try:
            record = json.loads((self.path / "owner.json").read_text())
            return f"process {record['pid']}, job {record['job']!r}"
        except (OSError, ValueError, LookupError, TypeError):
            return "which has not said its name"

    def _sign(self, job: str) -> None:
        try:
            self.touch()
            self._write_owner({"job": job, "pid": os.getpid(), "started": time.time()})
        except OSError as error:  # a tmpfs without a byte to spare
            self.release()
            raise SnapshotError(f"cannot write {self.path}/owner.json: {error.strerror}") from None

    def _write_owner(self, record: dict[str, Any]) -> None:
        unfinished = self.path / ".owner.json.new"
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, _LOCK | os.O_EXCL, 0o600), "w") as file:
            json.dump(record, file)
        unfinished.rename(self.path / "owner.json")


def sweep(root: Path, *, age: float, now: float, keep: Collection[str] = ()) -> list[str]:
    """Removes the directories of owners that left nothing, or have been dead for ``age`` seconds at ``now``.
    Returns their keys.

    An owner's last touch counts; where it never touched, the first sweep that finds it dead.
    Raises SnapshotError where ``root`` is not ours to use.
    """
    if not root.is_symlink() and not root.exists():
        return []
    _check(root)
    names = [name for name in os.listdir(root) if _KEY.fullmatch(name) and name not in keep]
    gone = {name: path for name in sorted(names) if (path := _abandoned(root / name, age, now))}
    for leftover in {*gone.values(), *root.glob(f"{_GONE}*")}:
        shutil.rmtree(leftover, ignore_errors=True)  # two sweepers may meet; what stays has another turn
    return list(gone)


def _abandoned(path: Path, age: float, now: float) -> Path | None:
    """Its new name, where it is to be removed; None where it stays."""
    with _exclusive(path.parent):
        try:
            _check(path)
            lock = _try_lock(path)
        except SnapshotError:  # not made by us, or gone since
            return None
        if lock is None:
            return None
        try:
            empty = not any(_SEGMENT.fullmatch(name) for name in os.listdir(path))
            return _set_aside(path) if empty or now - _last_sign(path, lock, now) >= age else None
        finally:
            os.close(lock)


def _last_sign(path: Path, lock: int, now: float) -> float:
    """When the owner was last known to live. One that never touched may have lived until just now."""
    touched = os.fstat(lock).st_mtime_ns
    try:
        acquired = (path / "owner.json").lstat().st_mtime_ns
    except FileNotFoundError:  # it died before it could write that
        acquired = 0
    if touched > acquired:
        return touched / 1e9
    os.utime(lock, (now, max(now, acquired / 1e9 + 1)))
    return now


def _set_aside(path: Path) -> Path:
    """Under another name, at once: to remove a hundred GiB takes seconds, and a fresh agent may come."""
    gone = path.with_name(f"{_GONE}{path.name[:8]}-{os.urandom(4).hex()}")
    path.rename(gone)
    return gone


@contextlib.contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """Else a sweeper that only looks would pass for a living owner, and one removes what another takes."""
    descriptor = _open_lock(root / ".lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the directory's lock; None where another has it."""
    descriptor = _open_lock(path / "owner.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, _LOCK, 0o600)
    except OSError as error:
        raise SnapshotError(f"cannot lock {path}: {error.strerror}") from None


def _make(path: Path, parents: bool = False) -> None:
    try:
        path.mkdir(mode=0o700, parents=parents, exist_ok=True)
    except FileExistsError:
        pass  # a link that leads nowhere, or a file: told below
    except OSError as error:
        raise SnapshotError(f"cannot make {path}: {error.strerror}") from None
    _check(path)


def _check(path: Path) -> None:
    """In /dev/shm anyone may have made anything under our name."""
    try:
        found = path.lstat()
    except OSError as error:
        raise SnapshotError(f"cannot use {path}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise SnapshotError(f"cannot use {path}: it is not a directory, or a symbolic link")
    if found.st_uid != os.geteuid():
        raise SnapshotError(f"cannot use {path}: it belongs to user {found.st_uid}, not {os.geteuid()}")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise SnapshotError(
            f"cannot use {path}: mode {mode:04o} found, 0700 expected\nhint: chmod 700 {path}"
        )
