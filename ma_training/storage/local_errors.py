"""What the operating system says, in the terms of storage."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BadKey, Exists, NoSpace, NotFound, Refused, StorageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_WRONG_KIND = (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


@contextmanager
def told(what: str, path: "str | os.PathLike[str]") -> Iterator[None]:
    """Raises an OSError of its block as the StorageError that it is: ``what`` ("read", "write") failed."""
    try:
        yield
    except OSError as error:
        raise explain(error, what, os.fspath(path)) from error


def explain(error: OSError, what: str, path: str) -> StorageError:
    text = f"cannot {what} {path}: {os.strerror(error.errno or errno.EIO)}"
    if error.errno in _NO_ROOM:
        return NoSpace(text, "free some room there, or name another directory; then run it again")
    if error.errno == errno.ENOENT:
        return NotFound(text, nearest(path))
    if error.errno in _NOT_ALLOWED:
        return Refused(text, "name a directory that you may write to, or one that is not mounted read-only")
    if error.errno == errno.EEXIST:
        return Exists(text)
    if error.errno in _WRONG_KIND:
        return BadKey(text, "a file stands where a directory is needed, or the reverse")
    return StorageError(text)


def nearest(path: str) -> str:
    """The deepest directory on the way there that exists, in words."""
    folder = Path(path).absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    return f"the nearest directory that there is: {folder}"
