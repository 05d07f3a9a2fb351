"""What was copied, and how both sides looked then: lines of JSON, one added with each file.

A line that was cut by a kill is left out; one line too few only means that a file is compared again. The
lines of deleted or changed files are dropped when the journal is next opened.
"""

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import StorageError
from .local_errors import told
from .plan import Record

VERSION = 1


def journal_path(source: str, target: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the journal of a sync between the two is, by default."""
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    name = hashlib.sha256(f"{source}\0{target}".encode(errors="surrogateescape")).hexdigest()[:32]
    return Path(state).expanduser() / "ma-training" / "sync" / f"{name}.jsonl"


class Journal:
    """Of one pair of places; raises StorageError where another process has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with told("write", path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise StorageError("another sync of the same two places is running", "wait for it") from None
            self.records, lines = _read(path)
            if lines > 2 * len(self.records) + 100:
                self._rewrite()
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(self._fd, b"\n")  # ends a line that was cut

    def add(self, key: str, record: Record) -> None:
        """May be called from any thread: a line is one write."""
        self.records[sys.intern(key)] = record
        os.write(self._fd, _line(key, record))

    def remove(self, key: str) -> None:
        if self.records.pop(key, None):
            os.write(self._fd, _line(key, None))

    def _rewrite(self) -> None:
        fresh = self.path.with_suffix(".new")
        with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            for key, record in self.records.items():
                file.write(_line(key, record))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._lock)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(key: str, record: Record | None) -> bytes:
    return json.dumps([VERSION, key, *(record or ())]).encode() + b"\n"


def _read(path: Path) -> tuple[dict[str, Record], int]:
    """The records, and how many lines they took."""
    records: dict[str, Record] = {}
    lines = 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return records, lines
    with file:
        for lines, line in enumerate(file, 1):  # noqa: B007
            try:
                version, key, *stamps = json.loads(line)
            except ValueError:
                continue
            if version != VERSION or not isinstance(key, str):
                continue
            if len(stamps) == 2 and all(isinstance(stamp, str) for stamp in stamps):
                records[key] = Record(*stamps)
            elif not stamps:
                records.pop(key, None)
    return records, lines
