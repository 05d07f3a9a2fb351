"""Uploads that a killed process of ours has begun: found again by a note on the local disk, and aborted.

A server keeps the parts of an upload for ever, and charges for them, while nobody sees them. Others' uploads
to the same place are not touched: which they are only their own notes say. A note is locked by its process,
so one that can be locked is of a process that is gone. Killed between asking for an upload and noting its id,
the upload of that very key, begun within two minutes of the asking, is taken to be ours.
"""

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import StorageError
from .journal import journal_path
from .local_errors import told
from .opening import open_store
from .store import Store, Unfinished

NEAR = 120 * 10**9  # ns between our clock and the server's, and a slow answer


class Leftovers:
    """The notes of ``target``'s bucket. A folder has none: there an unfinished file is gone on with."""

    def __init__(self, target: Store, environ: Mapping[str, str] = os.environ) -> None:
        self._target, self._environ = target, environ
        self._folder = journal_path("uploads", str(target.url.root), environ).with_suffix("")
        self._path = self._folder / f"{secrets.token_hex(8)}.uploads"
        self._fd = -1
        self._lock = threading.Lock()
        self._open_ones: set[str] = set()

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
            aborted = sum(_abort(found, bucket) for found in _begun(note.read_text(), bucket))
            note.unlink()
        except (BlockingIOError, FileNotFoundError, StorageError):
            return 0  # it runs; or another was faster; or the next one tries again
        finally:
            os.close(fd)
        return aborted

    def intend(self, key: str) -> None:
        """Before the upload is begun, when it has no id yet."""
        self._note(key, "")

    def add(self, key: str, upload: str) -> None:
        """Before its first part is written."""
        self._note(key, upload)

    def _note(self, key: str, upload: str) -> None:
        if self._target.url.is_local:
            return
        with self._lock:
            self._open()
            if upload:
                self._open_ones.add(upload)
            line = json.dumps([self._target.url.key + key, upload, time.time_ns()])
            os.write(self._fd, line.encode() + b"\n")

    def done(self, upload: str) -> None:
        """It was completed or aborted."""
        with self._lock:
            self._open_ones.discard(upload)

    def _open(self) -> None:
        if self._fd < 0:
            with told("write", self._path):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
                fcntl.flock(self._fd, fcntl.LOCK_EX)

    def close(self) -> None:
        """The note stays where an upload was neither completed nor aborted."""
        if self._fd >= 0:
            if not self._open_ones:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "Leftovers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _begun(text: str, bucket: Store) -> Iterator[Unfinished]:
    """Those that have an id, and those of whose beginning the id never came to be noted."""
    intended: dict[str, int] = {}
    for line in text.splitlines():
        try:
            key, upload, at = json.loads(line)
        except ValueError:
            continue  # cut by the kill
        if upload:
            intended.pop(key, None)
            yield Unfinished(str(key), str(upload), int(at))
        else:
            intended[str(key)] = int(at)
    for key, at in intended.items():
        for found in bucket.unfinished(key):
            if found.key == key and abs(found.started_ns - at) < NEAR:
                yield found


def _abort(found: Unfinished, bucket: Store) -> int:
    bucket.abort(found)
    return 1
