"""Keeps a log from filling the disk: at the limit its content moves to ``<log>.1``, and it begins anew.

The worker keeps its descriptor and goes on appending. On ext4 and XFS the beginning is cut off in one
call that no concurrent write can get between; elsewhere (tmpfs, NFS) the file is emptied after the
copy, and what is written in that very moment may be lost.
"""

import ctypes
import os
from pathlib import Path

FALLOC_FL_COLLAPSE_RANGE = 0x08
BLOCK = 1 << 16  # a multiple of every common file system's block
NOTICE = "\nlauncher: this log reached {size} bytes; what came before is in {name}\n"
_libc = ctypes.CDLL(None, use_errno=True)


def rotate(path: Path, limit: int) -> int:
    """Rotates the log if it is over ``limit``; returns how many bytes were taken off its beginning.

    Raises OSError where that cannot be done; the log is as it was then.
    """
    log = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(log).st_size
        if size < max(limit, 2 * BLOCK):
            return 0
        whole = (size - 1) // BLOCK * BLOCK  # collapsing must leave something behind
        earlier = path.with_name(f"{path.name}.1")
        _copy(log, earlier, whole)
        if not _collapse(log, whole):
            whole = _copy_rest_and_empty(log, earlier, whole)
        try:
            os.write(log, NOTICE.format(size=size, name=earlier.name).encode())
        except OSError:
            pass  # a full disk: the rotation has made what room it could
        return whole
    finally:
        os.close(log)


def _copy(source: int, target: Path, size: int, offset: int = 0) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if offset else os.O_TRUNC)
    output = os.open(target, flags, 0o600)
    try:
        os.lseek(output, offset, os.SEEK_SET)
        while offset < size:
            copied = os.sendfile(output, source, offset, size - offset)
            if not copied:
                break  # it was truncated meanwhile
            offset += copied
    finally:
        os.close(output)


def _collapse(log: int, size: int) -> bool:
    """Whether the file system could."""
    arguments = (
        ctypes.c_int(log),
        ctypes.c_int(FALLOC_FL_COLLAPSE_RANGE),
        ctypes.c_int64(0),
        ctypes.c_int64(size),
    )
    return _libc.fallocate64(*arguments) == 0


def _copy_rest_and_empty(log: int, earlier: Path, copied: int) -> int:
    while (size := os.fstat(log).st_size) > copied:
        _copy(log, earlier, size, copied)
        copied = size
    os.ftruncate(log, 0)
    return copied
