"""Whether it fits: bytes and inodes of a file system, before the first byte and while it fills."""

import os
from dataclasses import dataclass
from pathlib import Path

from ma_training.job import format_size

from .errors import NoSpace

FULL = 0.9  # where Kubernetes evicts, and file systems get slow


@dataclass(frozen=True, slots=True)
class Room:
    """``files`` None: the file system has no fixed number of them."""

    bytes: int
    files: int | None
    total: int  # bytes that users may fill

    def used_with(self, more: int) -> float:
        """From 0 to 1, once ``more`` bytes are written."""
        return 1 - (self.bytes - more) / self.total if self.total else 0.0


def room_at(path: Path) -> Room:
    """Of the file system that ``path`` is on, or will be."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    free, total = (blocks * found.f_frsize for blocks in (found.f_bavail, usable))
    return Room(free, found.f_favail if found.f_files else None, total)


def check_room(path: Path, size: int, files: int, room: Room) -> None:
    """Raises NoSpace where ``size`` bytes in so many files do not fit."""
    hint = "free some, or name a directory on a larger disk (scratch: /cache, $TMPDIR)"
    if size > room.bytes:
        raise NoSpace(f"{path}: {format_size(size)} are needed, {format_size(room.bytes)} are free", hint)
    if room.files is not None and files > room.files:
        raise NoSpace(f"{path}: {files} files are needed, the file system takes {room.files} more", hint)
