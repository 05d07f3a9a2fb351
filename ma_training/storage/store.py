"""The seam: what each kind of storage can do, in terms that name no library.

``open_store(url)`` (opening.py) gives a Store: ``directory.py`` is a folder, ``s3.py`` a bucket or a part of
one. Keys are relative to the URL that was opened, with ``/`` between components; ``x/`` is a directory that
holds nothing. Everything here may be called from several threads at once. What fails raises a StorageError
(errors.py); a Store repeats by itself what may be repeated, so callers do not.

Whatever is written becomes visible under its name when it is whole, and not before:

    store.put("a/b.txt", b"...")                     # small: one call
    upload = store.upload("big", part_size=8 << 20)  # large: parts, from 1, in any order, from any thread
    upload.part(1, b"..."); ...; upload.complete()   # or abort(); killed before that, nothing is visible
    with store.open("a/b.txt") as reader: reader.read()
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from .url import Url

SHA256 = "sha256"  # metadata: of the whole object, hex
PART_SIZE = "part-size"  # metadata: bytes of each part but the last


@dataclass(frozen=True, slots=True)
class Entry:
    """Something stored. ``etag`` is another one whenever the content is.

    Objects: as the server says it, without quotes; it is the MD5 only where ``md5`` says so. Files: made of
    inode, size and mtime. ``metadata`` is that of ``head`` and ``open`` alone: listings do not have it.
    """

    key: str
    size: int
    mtime_ns: int
    etag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    md5: str = ""  # of the content, hex; empty where it is not known without reading

    @property
    def is_directory(self) -> bool:
        """A directory that holds nothing, or an object that stands for a directory."""
        return self.key.endswith("/")

    @property
    def stamp(self) -> str:
        """Equal stamps: it is the same content. (Which of two is newer, nobody knows.)"""
        return f"{self.size} {self.etag or self.mtime_ns}"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload that was begun and neither completed nor aborted; ``started_ns`` since the epoch."""

    key: str
    id: str
    started_ns: int


class Reader(Protocol):
    """A part of an object, from its beginning on. It is a context manager."""

    @property
    def entry(self) -> Entry:
        """What is being read; ``size`` is that of the whole."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, at least one but at the end; -1: all the rest."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> "Reader": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Upload(Protocol):
    """Something large in the making."""

    part_size: int
    id: str  # as ``Unfinished`` has it
    done: frozenset[int]  # parts that an earlier one with the same ``tag`` has written, where that is kept

    def part(self, number: int, data: bytes) -> None:
        """Writes part ``number``, from 1. All but the last have ``part_size`` bytes."""
        ...

    def complete(self, sha256: str = "", md5: str = "") -> Entry:
        """Makes it visible. The hashes (hex), where given, are checked by folders: Damaged is raised."""
        ...

    def suspend(self) -> None:
        """Gives it up for now: a store that can keeps the parts for the next one with its ``tag``."""
        ...

    def abort(self) -> None:
        """Gives it up, and frees its room."""
        ...


class Store(Protocol):
    url: Url

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All that is under ``prefix``, in the order of UTF-8 bytes, a page at a time. May be nothing."""
        ...

    def list_directory(self, prefix: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        """One level: keys of directories, each with its trailing slash, and entries. Sorted alike."""
        ...

    def head(self, key: str) -> Entry | None:
        """None where there is no such object or file (a directory is none)."""
        ...

    def open(self, key: str, start: int = 0, stop: int | None = None, etag: str = "") -> Reader:
        """Bytes ``start`` to before ``stop``; NotFound, and Changed where ``etag`` is not the present one."""
        ...

    def put(
        self, key: str, data: bytes, metadata: Mapping[str, str] | None = None, if_none_match: bool = False
    ) -> Entry:
        """Writes all of it, over what was there; with ``if_none_match`` raises Exists instead.

        A key with a trailing slash makes a directory; ``data`` must be empty.
        """
        ...

    def upload(
        self, key: str, part_size: int, metadata: Mapping[str, str] | None = None, tag: str = ""
    ) -> Upload:
        """Begins a large one. ``tag`` names the content, so that a later one can go on where this ended."""
        ...

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        """Uploads that were begun, also by others, and those that go on now."""
        ...

    def abort(self, upload: Unfinished) -> None:
        """Frees its room. Nothing happens where it is gone."""
        ...

    def delete(self, key: str) -> None:
        """Nothing happens where it is not there. A directory must be empty."""
        ...

    def copy(self, source: str, target: str) -> Entry:
        """Within the store, without the bytes passing through here. Raises NotFound."""
        ...
