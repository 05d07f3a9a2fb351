"""``mox.file.File``: an open file, local or in object storage.

Local ones are Python's own. Of an object, reading asks for what is read; writing goes to a temporary file, in
TMPDIR, and to storage when it is flushed or closed: the whole object each time. When a ``with`` block that
writes is left by an exception, what is in storage stays as it was, and what was written is kept locally.
"""

import errno
import io
import logging
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from .exceptions import missing, translated
from .location import Path, Remote, is_remote, local
from .looking import get_size
from .remote_reader import BUFFER, RemoteReader
from .remote_writer import RemoteWriter

log = logging.getLogger("moxing")
PLAIN = ("r", "w", "a", "x", "r+", "w+", "a+", "x+")


def parse_mode(mode: str) -> tuple[str, bool]:
    """Without the letters b and t, which may stand anywhere, and whether it is binary. Raises ValueError.

    >>> parse_mode("br+"), parse_mode("a")
    (('r+', True), ('a', False))
    """
    plain = "".join(letter for letter in mode if letter not in "bt")
    if plain not in PLAIN or len(set(mode)) != len(mode) or {"b", "t"} <= set(mode):
        raise ValueError(f"mode {mode!r} is none of {', '.join(PLAIN)}, with or without b")
    return plain, "b" in mode


class File:
    """``name`` is the path or URL. Raises MoxFileNotExistsException, IsADirectoryError, ValueError."""

    def __init__(
        self,
        name: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> None:
        plain, binary = parse_mode(mode)
        self.name, self.mode = str(name), mode
        self._plain = plain
        self._writer: RemoteWriter | None = None
        self._io: Any = None
        if binary and (encoding or errors or newline is not None):
            raise ValueError("a binary file takes neither encoding nor errors nor newline")
        encoding = None if binary else encoding or "utf-8"
        if not is_remote(name):
            with translated():
                path = local(name)
            self._io = self._open_local(path, plain + "b" * binary, buffering, encoding, errors, newline)
            return
        with translated():
            raw = self._open_remote(Remote.of(str(name)))
        self._io = raw if binary else io.TextIOWrapper(raw, encoding, errors, newline)
        if plain == "a+":
            self._io.seek(0, io.SEEK_END)

    def _open_local(self, path: str, mode: str, *rest: Any) -> Any:
        """Where something is written, the directories above are made: object storage needs none."""
        if mode[0] != "r" and (above := os.path.dirname(path)):  # noqa: PTH120
            os.makedirs(above, exist_ok=True)  # noqa: PTH103
        try:
            return open(path, mode, *rest)
        except FileNotFoundError:
            raise missing(f"there is no {path}") from None

    def _open_remote(self, place: Remote) -> Any:
        if not place.key or place.slashed:
            raise IsADirectoryError(errno.EISDIR, "it is a directory", self.name)
        if self._plain == "r":
            return io.BufferedReader(self._reader(place), BUFFER)
        if self._plain[0] == "x" and place.file():
            raise FileExistsError(errno.EEXIST, "it is there already", self.name)
        self._writer = RemoteWriter(place, self._plain.replace("x", "w"))
        return self._writer.file

    def _reader(self, place: Remote) -> RemoteReader:
        entry = place.file()
        if entry is None:
            if place.is_directory():
                raise IsADirectoryError(errno.EISDIR, "it is a directory", self.name)
            place.raise_missing()
            raise AssertionError("it was missing, and is there")
        return RemoteReader(place.bucket, entry, self.name)

    # --- reading ---

    def read(self, n: int | None = -1) -> Any:
        return self._io.read(-1 if n is None else n)

    def readline(self, size: int = -1) -> Any:
        return self._io.readline(size)

    def readlines(self, sizeint: int = -1) -> list[Any]:
        return self._io.readlines(sizeint)  # type: ignore[no-any-return]

    def readinto(self, buffer: Any) -> int:
        return self._io.readinto(buffer)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        line = self._io.readline()
        if not line:
            raise StopIteration
        return line

    # --- writing ---

    def write(self, data: Any) -> int:
        self._touch()
        return self._io.write(data)  # type: ignore[no-any-return]

    def writelines(self, sequence: Iterable[Any]) -> None:
        for data in sequence:
            self.write(data)

    def _touch(self) -> None:
        if self._writer:
            self._writer.dirty = True

    def truncate(self, size: int | None = None) -> int:
        self._touch()
        return self._io.truncate(size)  # type: ignore[no-any-return]

    def flush(self) -> None:
        """What was written so far is in storage afterwards."""
        self._io.flush()
        if self._writer:
            with translated():
                self._writer.send()

    # --- where it is ---

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._io.seek(offset, whence)  # type: ignore[no-any-return]

    def tell(self) -> int:
        return self._io.tell()  # type: ignore[no-any-return]

    def size(self) -> int:
        """Bytes of what is stored; what has not been flushed does not count."""
        return get_size(self.name)

    def readable(self) -> bool:
        return self._io.readable()  # type: ignore[no-any-return]

    def writable(self) -> bool:
        return self._plain != "r"

    def seekable(self) -> bool:
        return self._io.seekable()  # type: ignore[no-any-return]

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        if is_remote(self.name):
            raise io.UnsupportedOperation("an object has no file descriptor")
        return self._io.fileno()  # type: ignore[no-any-return]

    @property
    def closed(self) -> bool:
        return self._io is None or self._io.closed

    @property
    def encoding(self) -> str | None:
        return getattr(self._io, "encoding", None)

    # --- the end ---

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush() if self._plain != "r" else None
        finally:
            self._end()

    def _end(self) -> None:
        self._io.close()
        if self._writer:
            self._writer.close()

    def __enter__(self) -> "File":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self._writer is None or self._plain == "a" or self.closed:
            self.close()
            return
        self._io.flush()
        log.warning(
            "%s is left as it was, for an error came while it was written: %r\n"
            "    hint: what was written is in %s",
            self.name,
            error,
            self._writer.keep(),
        )
        self._end()

    def __del__(self) -> None:
        if self.__dict__.get("_io") is not None:
            self.close()

    def __getattr__(self, name: str) -> Any:
        """What else Python's own files have: read1, peek, buffer."""
        if name == "_io" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._io, name)

    def __repr__(self) -> str:
        return f"<moxing file {self.name!r}, mode {self.mode!r}>"
