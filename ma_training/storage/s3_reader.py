"""Reads a part of an object; a body that is cut is read on from where it was cut."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from .errors import StorageError
from .s3_calls import Calls
from .s3_errors import explain, may_repeat
from .store import Entry

Get = Callable[[int, str], dict[str, Any]]  # from a byte on, of that etag: the server's answer


class ObjectReader:
    """``get(at, etag)`` asks for the rest; ``answer`` is its first answer, ``left`` the bytes that it has."""

    def __init__(
        self, calls: Calls, what: str, entry: Entry, answer: dict[str, Any], at: int, get: Get
    ) -> None:
        self.entry = entry
        self._calls, self._what, self._get, self._at = calls, what, get, at
        self._body, self._left = answer["Body"], int(answer["ContentLength"])
        self._failed = 0  # times in a row

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        pieces: list[bytes] = []
        while wanted:
            piece = self._some(min(wanted, 1 << 20))
            pieces.append(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _some(self, most: int) -> bytes:
        """At least a byte."""
        while True:
            try:
                piece: bytes = self._body.read(most)
                if not piece:
                    raise ConnectionError("the body ended early")
            except Exception as error:
                if not may_repeat(error):
                    raise
                self._again(error)
                continue
            self._at += len(piece)
            self._left -= len(piece)
            self._failed = 0
            return piece

    def _again(self, error: Exception) -> None:
        self._body.close()
        self._failed += 1
        if self._failed >= self._calls.tries:
            raise explain(error, self._what, self._failed) from None
        self._calls.host.wait(self._failed)
        # With If-Match: what goes on must be of the same content. Changed is raised where it is not.
        answer = self._calls.do(self._what, lambda: self._get(self._at, self.entry.etag))
        if int(answer["ContentLength"]) != self._left:
            raise StorageError(f"cannot {self._what}: the server ignores Range")
        self._body = answer["Body"]

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> "ObjectReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
