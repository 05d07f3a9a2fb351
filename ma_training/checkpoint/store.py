"""All checkpoints under one directory: which there are, which of them are whole, which may go.

The manifests are the truth; the file ``latest`` is never asked. A reader holds a shared lock on the
manifest of what it reads, and what is to be removed is locked exclusively first.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .errors import CheckpointError
from .foreign import refuse_file
from .locks import is_still_at, try_lock
from .making import discard, forget_latest, set_aside, sweep
from .manifest import MANIFEST, Manifest, is_file_name
from .verification import Fault, check_sizes, verify

_NAME = re.compile(r"step-(\d{9,})(?:-(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint whose manifest is good; its files may not be."""

    path: Path
    manifest: Manifest

    def age_key(self) -> tuple[int, datetime, int]:
        """Sorts from old to new."""
        found = _NAME.fullmatch(self.path.name)
        again = int(found[2]) if found and found[2] else 1
        return self.manifest.step, datetime.fromisoformat(self.manifest.created), again


@dataclass(frozen=True, slots=True)
class Rejected:
    """What cannot be resumed from, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Removed:
    entry: Entry
    freed: int  # bytes


class CheckpointStore:
    def __init__(self, root: Path) -> None:
        self.root = root

    def scan(self) -> tuple[list[Entry], list[Rejected]]:
        """Newest first, and what has no good manifest. Raises CheckpointError where ``root`` cannot be
        read: only one that is not there is empty."""
        entries, rejected = [], []
        for path in self._paths():
            try:
                entries.append(read_entry(path))
            except CheckpointError as error:
                if os.path.lexists(path):  # else it has been removed just now
                    rejected.append(Rejected(path, str(error)))
        return sorted(entries, key=Entry.age_key, reverse=True), rejected

    def entries(self) -> list[Entry]:
        """Newest first, by step and then by time."""
        return self.scan()[0]

    def newest_valid(self, identity: str | None = None) -> tuple[Entry | None, list[Rejected]]:
        """The newest one that is whole, every byte of it, and what is newer but is not, or has no good
        manifest. With ``identity`` only those of that one count."""
        entries, rejected = self.scan()
        for entry in entries:
            if identity is not None and entry.manifest.identity != identity:
                rejected.append(Rejected(entry.path, f"is of {entry.manifest.identity!r}"))
            elif reason := self._why_not(entry):
                rejected.append(Rejected(entry.path, reason))
            else:
                return entry, rejected
        return None, rejected

    def retain(self, keep: int) -> tuple[list[Removed], list[Rejected]]:
        """Removes all but the ``keep`` newest, at least one, whose files are there in their sizes, and the
        newest that is whole. Also says what had to stay, as it is being read, or cannot be removed. What
        has no good manifest is left to people."""
        if keep < 1:
            raise ValueError(f"{keep} checkpoints cannot be kept: at least 1")
        sweep(self.root)
        removed, stayed = [], []
        for entry in self._superfluous(keep):
            try:
                removed.append(Removed(entry, remove(entry.path)))
            except CheckpointError as error:
                stayed.append(Rejected(entry.path, str(error)))
        return removed, stayed

    def _superfluous(self, keep: int) -> list[Entry]:
        """Those older than the ``keep``-th good one and than the newest that is whole."""
        entries, good, whole = self.entries(), 0, False
        for number, entry in enumerate(entries):
            if good >= keep and whole:
                return entries[number:]
            good += not check_sizes(entry.path, entry.manifest)
            whole = whole or not self._why_not(entry)
        return []

    def _why_not(self, entry: Entry) -> str:
        try:
            with hold(entry):
                return describe(verify(entry.path, entry.manifest))
        except CheckpointError as error:  # removed, just now
            return str(error)

    def _paths(self) -> list[Path]:
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"cannot read {self.root}: {error.strerror}") from None
        return [self.root / name for name in names if is_name(name)]


class BeingRead(CheckpointError):
    """It is not removed, as another process reads it."""


def is_name(name: str) -> bool:
    """Whether a checkpoint's directory may be called so.

    >>> is_name("step-000000500"), is_name("step-000000500-2"), is_name("latest")
    (True, True, False)
    """
    return bool(_NAME.fullmatch(name))


def read_entry(path: Path) -> Entry:
    """The checkpoint in the directory ``path``. Raises CheckpointError."""
    manifest = path / MANIFEST
    try:
        descriptor = os.open(manifest, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: {_why_no_manifest(path)}") from None
    except NotADirectoryError:
        raise refuse_file(path) from None
    except OSError as error:
        raise CheckpointError(f"{manifest}: cannot be read: {error.strerror}") from None
    return Entry(path, Manifest.from_json(data, str(manifest)))


def _why_no_manifest(path: Path) -> str:
    if not path.exists():
        return "there is nothing"
    if any(is_name(name) for name in os.listdir(path)):
        return "holds checkpoints, and is none itself: name one of them"
    return f"no {MANIFEST}: not a checkpoint, or not a whole one"


@contextmanager
def hold(entry: Entry) -> Iterator[None]:
    """Keeps ``entry`` from being removed. Raises CheckpointError where it is gone already."""
    path = entry.path / MANIFEST
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CheckpointError(f"{entry.path}: has been removed") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        if not _locked(descriptor, path, exclusive=False):
            raise CheckpointError(f"{entry.path}: has been removed")
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path, exclusive: bool) -> bool:
    """Locked, or on a file system without locks, and still the file at ``path``."""
    try:
        return try_lock(descriptor, exclusive) is not False and is_still_at(descriptor, path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be locked: {error.strerror}") from None


def remove(path: Path) -> int:
    """Removes the checkpoint in ``path``, valid or not; returns the bytes freed. Raises BeingRead, and
    CheckpointError where it cannot be removed, or holds what is no part of a checkpoint."""
    _check_removable(path)
    try:
        descriptor = os.open(path / MANIFEST, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _discard(path)
    except OSError as error:
        raise CheckpointError(f"cannot remove {path}: {error.strerror}") from None
    try:
        if not _locked(descriptor, path / MANIFEST, exclusive=True):
            raise BeingRead(f"cannot remove {path}: it is being read")
        return _discard(path)
    finally:
        os.close(descriptor)


def _check_removable(path: Path) -> None:
    if path.is_symlink() or not path.is_dir() or not is_name(path.name):
        raise CheckpointError(f"cannot remove {path}: it is not the directory of a checkpoint")
    try:
        with os.scandir(path) as found:
            foreign = sorted(one.name for one in found if not _is_part(one))
    except OSError as error:
        raise CheckpointError(f"cannot remove {path}: {error.strerror}") from None
    if foreign:
        raise CheckpointError(f"cannot remove {path}: it holds {foreign[0]}, no part of a checkpoint")


def _is_part(found: "os.DirEntry[str]") -> bool:
    return is_file_name(found.name) and not found.is_dir(follow_symlinks=False)


def _discard(path: Path) -> int:
    try:
        forget_latest(path)
        aside = set_aside(path)
    except OSError as error:
        raise CheckpointError(f"cannot remove {path}: {error.strerror}") from None
    try:
        return discard(aside)
    except OSError as error:
        raise CheckpointError(f"{path} is removed, but {aside} is left of it: {error.strerror}") from None


def describe(faults: Iterable[Fault]) -> str:
    """In one line; '' for none."""
    return "; ".join(f"{fault.file}: {fault.what}" for fault in faults)
