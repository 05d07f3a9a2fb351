"""Locks that end with their process, on files (a network file system locks no directories)."""

import errno
import fcntl
import os
from pathlib import Path

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


def try_lock(descriptor: int, exclusive: bool) -> bool | None:
    """Whether the lock is had now; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_still_at(descriptor: int, path: Path) -> bool:
    """The open file is the one that ``path`` leads to: it was not removed or replaced before the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
