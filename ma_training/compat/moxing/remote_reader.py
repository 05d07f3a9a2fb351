"""Reads an object as a file: forwards in one request, and in a new one after each jump."""

import io
from typing import Any

from ma_training.storage import Entry, Reader, Store

from .exceptions import translated

BUFFER = 1 << 20  # bytes that are read ahead
NEAR = 1 << 20  # a jump forwards up to here is read through


class RemoteReader(io.RawIOBase):
    """``entry`` is the version that is read. Raises MoxFileReadException where it has been replaced."""

    def __init__(self, store: Store, entry: Entry, name: str) -> None:
        self.name = name
        self._store, self._entry = store, entry
        self._at = 0  # where the next byte is wanted
        self._reader: Reader | None = None
        self._reader_at = 0  # where the open request is

    @property
    def size(self) -> int:
        return self._entry.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = {0: 0, 1: self._at, 2: self.size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError(f"cannot seek to {offset} with whence {whence}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        if self._at >= self.size or not len(buffer):
            return 0
        with translated():
            data = self._open_here().read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        self._reader_at = self._at
        return len(data)

    def _open_here(self) -> Reader:
        if self._reader and 0 <= self._at - self._reader_at <= NEAR:
            while self._reader_at < self._at and (skipped := self._reader.read(self._at - self._reader_at)):
                self._reader_at += len(skipped)
        if self._reader is None or self._reader_at != self._at:
            self._end_request()
            self._reader = self._store.open(self._entry.key, self._at, None, self._entry.etag)
            self._reader_at = self._at
        return self._reader

    def _end_request(self) -> None:
        if self._reader:
            self._reader.close()
            self._reader = None

    def close(self) -> None:
        self._end_request()
        super().close()
