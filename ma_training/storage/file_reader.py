"""Reads a part of a file, as a Reader."""

import io
import os
from types import TracebackType

from .local_errors import told
from .store import Entry


def entry_of(key: str, status: os.stat_result) -> Entry:
    etag = f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
    return Entry(key, status.st_size, status.st_mtime_ns, etag)


class FileReader:
    """Bytes ``start`` to before ``stop`` of an unbuffered file, which it closes."""

    def __init__(self, file: io.FileIO, key: str, start: int, stop: int | None) -> None:
        self._file = file
        self.entry = entry_of(key, os.fstat(file.fileno()))
        self._at = start
        self._stop = self.entry.size if stop is None else min(stop, self.entry.size)

    def read(self, size: int = -1, /) -> bytes:
        wanted = max(self._stop - self._at, 0)
        wanted = wanted if size < 0 else min(size, wanted)
        with told("read", self._file.name):
            pieces = []
            while wanted and (piece := os.pread(self._file.fileno(), min(wanted, 1 << 30), self._at)):
                pieces.append(piece)
                self._at += len(piece)
                wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "FileReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
