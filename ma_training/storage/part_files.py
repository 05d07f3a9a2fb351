"""Files in the making, beside their final name: ``.name.<16 hex digits>.part``.

They are renamed when they are whole. One with a tag has its digits from the tag, so that a later upload of
the same content finds it; which of its parts were written says a file beside it, ``….parts``, a byte a part,
set after the part itself is on the disk. Who writes a part file holds a lock on it: a second writer of the
same content takes a name of its own.
"""

import fcntl
import hashlib
import os
import re
import secrets
import threading
from pathlib import Path

from .errors import Damaged, Exists
from .file_reader import entry_of
from .local_errors import told
from .store import Entry

_PART = re.compile(r"\.(.+)\.([0-9a-f]{16})\.parts?", re.DOTALL)
FRESH = 60.0  # seconds: a younger one may just not have been locked yet
KEPT = 7 * 86400.0  # one that can be gone on with
_LONGEST_NAME = 255 - len(".") - len(".0123456789abcdef.parts")


def part_id(name: str) -> tuple[str, str] | None:
    """The final name (its beginning, where it is long) and the digits, if ``name`` is of a part file."""
    found = _PART.fullmatch(name)
    return (found[1], found[2]) if found else None


def part_path(path: Path, digits: str) -> Path:
    name = path.name
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[:-1]
    return path.with_name(f".{name}.{digits}.part")


def sidecar(part: Path) -> Path:
    """Where it is noted which parts are written."""
    return part.with_name(part.name.removesuffix("s") + "s")


class NewPart:
    """A small file in the making, by one thread, in one go."""

    def __init__(self, path: Path) -> None:
        self.path = part_path(path, secrets.token_hex(8))
        # As other programs make files for their user: the umask decides who may read.
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _lock(self.fd)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def finish(self, key: str, path: Path, if_none_match: bool) -> Entry:
        if if_none_match:
            _link_new(self.path, path)
        else:
            self.path.rename(path)
        entry = entry_of(key, os.fstat(self.fd))
        os.close(self.fd)
        self.fd = -1
        return entry

    def abort(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.path.unlink(missing_ok=True)


new_part = NewPart


def _link_new(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise Exists(f"{path} is there already: it is not written over") from None
    part.unlink()


class PartFile:
    """A large file in the making: an Upload."""

    @classmethod
    def begin(cls, key: str, path: Path, part_size: int, tag: str) -> "PartFile":
        if tag:
            digits = hashlib.sha256(f"{part_size} {tag}".encode()).hexdigest()[:16]
            fd = os.open(
                part_path(path, digits), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666
            )
            if _lock(fd) and _is_named(fd, part_path(path, digits)):
                return cls(key, path, part_path(path, digits), fd, part_size, keep=True)
            os.close(fd)
        part = part_path(path, secrets.token_hex(8))
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _lock(fd)
        return cls(key, path, part, fd, part_size, keep=False)

    def __init__(self, key: str, path: Path, part: Path, fd: int, part_size: int, keep: bool) -> None:
        self.part_size, self._key, self._path, self._part, self._fd = part_size, key, path, part, fd
        self.id = part.name
        self._marks = -1
        self._lock = threading.Lock()
        self.done: frozenset[int] = frozenset()
        if keep:
            self._marks = os.open(sidecar(part), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            marks = os.pread(self._marks, os.fstat(self._marks).st_size, 0)
            self.done = frozenset(number for number, mark in enumerate(marks, 1) if mark == 1)

    def part(self, number: int, data: bytes) -> None:
        with told("write", self._part):
            view, at = memoryview(data), (number - 1) * self.part_size
            while view:
                written = os.pwrite(self._fd, view, at)
                view, at = view[written:], at + written
            if self._marks >= 0:
                os.fdatasync(self._fd)  # the mark must not outlive the data
                os.pwrite(self._marks, b"\1", number - 1)

    def complete(self, sha256: str = "", md5: str = "") -> Entry:
        with told("write", self._path):
            for name, wanted in (("sha256", sha256), ("md5", md5)):
                if wanted and (found := self._hash(name)) != wanted:
                    self.abort()
                    raise Damaged(
                        f"{self._path}: received with {name} {found}, not {wanted}", "copy it again"
                    )
            os.fsync(self._fd)
            self._part.rename(self._path)
            if self._marks >= 0:
                sidecar(self._part).unlink(missing_ok=True)
            entry = entry_of(self._key, os.fstat(self._fd))
            self._close()
        return entry

    def _hash(self, name: str) -> str:
        digest, at = hashlib.new(name, usedforsecurity=False), 0
        while data := os.pread(self._fd, 1 << 20, at):
            digest.update(data)
            at += len(data)
        return digest.hexdigest()

    def suspend(self) -> None:
        """Leaves what is written for a later one with the same tag; without a tag it is aborted."""
        if self._marks < 0:
            self.abort()
        self._close()

    def abort(self) -> None:
        if self._fd >= 0:
            self._part.unlink(missing_ok=True)
            sidecar(self._part).unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        with self._lock:
            for fd in (self._fd, self._marks):
                if fd >= 0:
                    os.close(fd)
            self._fd = self._marks = -1


def sweep(folder: Path, now: float) -> None:
    """Removes what killed writers left in a folder: files that nobody locks and nobody can go on with."""
    for part in [path for path in folder.iterdir() if part_id(path.name) and path.name.endswith(".part")]:
        try:
            fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # gone, or not ours to look at
        try:
            age = now - os.fstat(fd).st_mtime
            if age > (KEPT if sidecar(part).exists() else FRESH) and _lock(fd):
                part.unlink(missing_ok=True)
                sidecar(part).unlink(missing_ok=True)
        finally:
            os.close(fd)


def _lock(fd: int) -> bool:
    """False where another writer has it. Without locks (some network file systems) it is taken to be free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_named(fd: int, path: Path) -> bool:
    """It still has its name: whoever had the lock may have renamed it."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False
