"""Uploads that a killed process of ours has begun: found again by a note on the local disk, and aborted.

A server keeps the parts of an upload for ever, and charges for them, while nobody sees them. Others' uploads
to the same place are not touched: which they are only their own notes say. A note is locked by its process,
so one that can be locked is of a process that is gone.
"""

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from .errors import StorageError
from .journal import journal_path
from .local_errors import told
from .opening import open_store
from .store import Store, Unfinished


class Leftovers:
    """The notes of ``target``'s bucket. A folder has none: there an unfinished file is gone on with."""

    def __init__(self, target: Store, environ: Mapping[str, str] = os.environ) -> None:
        self._target, self._environ = target, environ
        self._folder = journal_path("uploads", str(target.url.root), environ).with_suffix("")
        self._path = self._folder / f"{secrets.token_hex(8)}.uploads"
        self._fd = -1
        self._lock = threading.Lock()

    def abort(self) -> int:
        """Aborts what killed processes have left; returns how many uploads that were."""
        if self._target.url.is_local or not self._folder.is_dir():
            return 0
        bucket = open_store(self._target.url.root, self._environ)
        return sum(self._abort_of(note, bucket) for note in sorted(self._folder.glob("*.uploads")))

    def _abort_of(self, note: Path, bucket: Store) -> int:
        fd = os.open(note, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lines = note.read_text().splitlines()
            aborted = sum(_abort_line(line, bucket) for line in lines)
            note.unlink()
        except (BlockingIOError, FileNotFoundError, StorageError):
            return 0  # it runs; or another was faster; or the next one tries again
        finally:
            os.close(fd)
        return aborted

    def add(self, key: str, upload: str) -> None:
        """Notes it, before its first part is written."""
        if self._target.url.is_local:
            return
        with self._lock:
            self._open()
            line = json.dumps([self._target.url.key + key, upload])
            os.write(self._fd, line.encode() + b"\n")

    def _open(self) -> None:
        if self._fd < 0:
            with told("write", self._path):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
                fcntl.flock(self._fd, fcntl.LOCK_EX)

    def close(self) -> None:
        """Ours have all been completed or aborted."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "Leftovers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _abort_line(line: str, bucket: Store) -> int:
    try:
        key, upload = json.loads(line)
    except ValueError:
        return 0  # cut by the kill
    bucket.abort(Unfinished(str(key), str(upload), 0))
    return 1
