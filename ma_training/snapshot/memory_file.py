"""A file that is mapped: made whole under another name, and looked at before it is mapped.

A store past the end of a tmpfs' room, or a load past the end of a file, is SIGBUS: no exception, the
process is gone. So all bytes are allocated before the file has its name, and nothing is mapped whose
size was not looked at.
"""

import errno
import mmap
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from ma_training.job import format_size

from .errors import SnapshotError

MODE = 0o600
# posix_fallocate in a tmpfs starts anew after each signal: in one piece it would never end under a
# profiler's timer. A chunk takes a tenth of a second where the machine has to find the memory first.
_CHUNK = 64 << 20
_PIECE = 4 << 20
_READ = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO of that name holds up nobody
_MAKE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL


def make_file(path: Path, size: int, fill: Callable[[mmap.mmap], None]) -> mmap.mmap:
    """Makes ``path``, replacing what is there, and maps it. ``fill`` writes what it begins with.

    Raises SnapshotError where there is no room, and then leaves nothing behind.
    """
    _remove_unfinished(path)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        mapped = _allocated(unfinished, size)
        fill(mapped)
        unfinished.rename(path)  # fails where another, who makes the same file, has removed ours
    except OSError as error:
        raise SnapshotError(_no_room(path, size, error)) from None
    finally:
        unfinished.unlink(missing_ok=True)  # there no more, once renamed
    return mapped


def open_file(path: Path) -> int:
    """A descriptor of a regular file of this user. Raises SnapshotError for anything else."""
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        what = "a symbolic link" if error.errno == errno.ELOOP else os.strerror(error.errno or errno.EIO)
        raise SnapshotError(f"cannot open {path}: {what}") from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    raise SnapshotError(f"cannot open {path}: not a file of user {os.geteuid()}")


def map_file(descriptor: int, size: int) -> mmap.mmap:
    """Raises SnapshotError where the file is not of exactly this size, or there is no address space."""
    found = os.fstat(descriptor).st_size
    if found != size:
        raise SnapshotError(f"it has {found} bytes, its header says {size}")
    try:
        return mmap.mmap(descriptor, size)
    except OSError as error:
        raise SnapshotError(f"cannot map {size} bytes: {os.strerror(error.errno or errno.EIO)}") from None


def _allocated(path: Path, size: int) -> mmap.mmap:
    descriptor = os.open(path, _MAKE, MODE)
    try:
        for start in range(0, size, _CHUNK):
            end = min(start + _CHUNK, size)
            os.posix_fallocate(descriptor, start, end - start)
            _write_zeros(descriptor, start, end)
        # Populated: the first step is not to pay for 262,144 page faults a GiB.
        return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(descriptor)


def _write_zeros(descriptor: int, start: int, end: int) -> None:
    """Else the kernel clears the pages as they are mapped: 1.6 to 13 s a GiB were seen, with the GIL held."""
    zeros = memoryview(bytes(min(_PIECE, end - start)))
    while start < end:
        start += os.pwrite(descriptor, zeros[: end - start], start)


def _remove_unfinished(path: Path) -> None:
    """Of a maker that was killed; a living one finds out when it comes to the rename."""
    try:
        for other in path.parent.iterdir():
            if other.name.startswith(f".{path.name}.") and other.name.endswith(".new"):
                other.unlink(missing_ok=True)
    except OSError as error:
        raise SnapshotError(f"cannot make {path}: {os.strerror(error.errno or errno.EIO)}") from None


def _no_room(path: Path, size: int, error: OSError) -> str:
    text = f"cannot make {path}: {os.strerror(error.errno or errno.EIO)}"
    if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.ENOMEM):
        return text
    room = os.statvfs(path.parent)
    free = format_size(room.f_bavail * room.f_frsize)
    return f"{text}; {format_size(size)} are needed, {path.parent} has {free} free"
