"""moxing's exceptions, and which of them storage's errors become.

OSError
 ├─ _MoxFileBaseRespException          .resp has status, errorCode, errorMessage, reason and requestId
 │   ├─ MoxFileRespException           storage refused, or could not be reached
 │   │   └─ MoxFileNotExistsException  also a FileNotFoundError: there is no such file, directory or bucket
 │   └─ MoxFileReadException           what was being read has changed, or is damaged
 └─ MoxFileNameDuplicateException      a file and a directory of one name, which a disk cannot hold both

moxing's derive from Exception alone. These are OSErrors as well, so that what handles the errors of ``open``
and of ``os`` handles them too, whether a path is local or not.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from ma_training.storage import (
    BadKey,
    BadUrl,
    Changed,
    Damaged,
    Exists,
    LimitExceeded,
    NoCredentials,
    NoSpace,
    NotFound,
    Refused,
    StorageError,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Response:
    """As moxing's clients answer; ``status`` is that of HTTP."""

    status: int
    errorMessage: str
    errorCode: str | None = None
    requestId: str | None = None

    @property
    def reason(self) -> str:
        return HTTPStatus(self.status).phrase


class _MoxFileBaseRespException(OSError):
    """``number`` is an errno."""

    def __init__(self, resp: Response, number: int = errno.EIO) -> None:
        super().__init__(number, resp.errorMessage)
        self.resp = resp

    def __str__(self) -> str:
        return self.resp.errorMessage

    def __reduce__(self) -> tuple[type, tuple[Response, int]]:
        return type(self), (self.resp, self.errno or errno.EIO)


class MoxFileRespException(_MoxFileBaseRespException):
    pass


class MoxFileReadException(_MoxFileBaseRespException):
    pass


class MoxFileNotExistsException(MoxFileRespException, FileNotFoundError):
    def __init__(self, resp: Response, number: int = errno.ENOENT) -> None:
        super().__init__(resp, number)


class MoxFileNameDuplicateException(OSError):
    def __init__(self, message: str) -> None:
        super().__init__(errno.EEXIST, message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.message,)


_Kind = type[_MoxFileBaseRespException]
_KINDS: dict[type[StorageError], tuple[_Kind, HTTPStatus, int]] = {
    NotFound: (MoxFileNotExistsException, HTTPStatus.NOT_FOUND, errno.ENOENT),
    Refused: (MoxFileRespException, HTTPStatus.FORBIDDEN, errno.EACCES),
    NoCredentials: (MoxFileRespException, HTTPStatus.FORBIDDEN, errno.EACCES),
    BadUrl: (MoxFileRespException, HTTPStatus.BAD_REQUEST, errno.EINVAL),
    BadKey: (MoxFileRespException, HTTPStatus.BAD_REQUEST, errno.EINVAL),
    Exists: (MoxFileRespException, HTTPStatus.PRECONDITION_FAILED, errno.EEXIST),
    NoSpace: (MoxFileRespException, HTTPStatus.INSUFFICIENT_STORAGE, errno.ENOSPC),
    LimitExceeded: (MoxFileRespException, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, errno.EFBIG),
    Unavailable: (MoxFileRespException, HTTPStatus.SERVICE_UNAVAILABLE, errno.EIO),
    Changed: (MoxFileReadException, HTTPStatus.OK, errno.ESTALE),
    Damaged: (MoxFileReadException, HTTPStatus.OK, errno.EIO),
}


def as_moxing(error: StorageError) -> _MoxFileBaseRespException:
    """The one that ``error`` becomes; it says the same."""
    default = (MoxFileRespException, HTTPStatus.INTERNAL_SERVER_ERROR, errno.EIO)
    kind, status, number = _KINDS.get(type(error), default)
    return kind(Response(int(status), str(error), type(error).__name__), number)


def missing(what: str, hint: str = "") -> MoxFileNotExistsException:
    return MoxFileNotExistsException(Response(404, f"{what}\n    hint: {hint}" if hint else what, "NotFound"))


@contextmanager
def translated() -> Iterator[None]:
    """Raises a StorageError of its block as moxing's."""
    try:
        yield
    except StorageError as error:
        raise as_moxing(error) from None
