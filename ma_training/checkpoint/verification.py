"""Whether a checkpoint's files are what its manifest says."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from .errors import CheckpointError
from .manifest import FileRecord, Manifest
from .safetensors_file import open_file

PIECE = 8 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one file of a checkpoint."""

    file: str
    what: str


def check_sizes(path: Path, manifest: Manifest) -> list[Fault]:
    """What can be told without reading: files that are missing or of another size."""
    found = [(name, _wrong_size(path / name, record)) for name, record in manifest.files.items()]
    return [Fault(name, what) for name, what in found if what]


def verify(path: Path, manifest: Manifest) -> list[Fault]:
    """Reads every file; none is damaged where this is empty."""
    found = [(name, _wrong(path / name, record)) for name, record in manifest.files.items()]
    return [Fault(name, what) for name, what in found if what]


def _wrong_size(path: Path, record: FileRecord) -> str:
    try:
        size = path.lstat().st_size
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if size == record.size else f"{size} bytes, {record.size} were written"


def _wrong(path: Path, record: FileRecord) -> str:
    if what := _wrong_size(path, record):
        return what
    try:
        digest = _sha256(path)
        if digest != record.sha256:
            return f"its content has changed: SHA-256 {digest[:12]}…, {record.sha256[:12]}… was written"
        open_file(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except CheckpointError as error:
        return str(error)
    return ""


def _sha256(path: Path) -> str:
    # Read, not mapped: a bad block is then an error, and not the end of the process.
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(PIECE))
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
