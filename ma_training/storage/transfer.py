"""Copies one file or object, from any store to any other. Its caller has the threads."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from .errors import Changed, StorageError
from .plan import Record
from .stable import PIECE, TRIES, hash_beginning, look, read_small
from .store import PART_SIZE, SHA256, Entry, Store, Upload

SMALL = 8 << 20  # bytes: up to here in one piece
MOST_PARTS = 9_000  # object stores take 10,000
_MIB = 1 << 20

# Runs all, in any order, each of which needs so many bytes of memory; raises what one raised.
Run = Callable[[Sequence[Callable[[], None]], int], None]
Told = Callable[[int], None]  # bytes that were written


class Notes(Protocol):
    """Of uploads that a kill would leave behind."""

    def intend(self, key: str) -> None: ...

    def add(self, key: str, upload: str) -> None: ...

    def done(self, upload: str) -> None: ...


def part_size(size: int) -> int:
    """Bytes of a part, for something of ``size`` bytes.

    >>> part_size(1 << 30) >> 20, part_size(1 << 40) >> 20
    (8, 117)
    """
    return max(SMALL, -(-size // MOST_PARTS // _MIB) * _MIB)


def copy_one(
    source: Store,
    target: Store,
    entry: Entry,
    key: str,
    run: Run,
    told: Told,
    notes: Notes | None = None,
    within: Store | None = None,
) -> Record:
    """Copies ``entry`` to ``key``. ``within``: the bucket that both are in, whose server then copies."""
    if entry.is_directory:
        return Record(entry.stamp, target.put(key, b"").stamp)
    if within:
        written = within.copy(source.url.key + entry.key, target.url.key + key)
        told(entry.size)
        return Record(entry.stamp, written.stamp)
    if entry.size <= SMALL:
        data, read = read_small(source, entry)
        written = target.put(key, data)
        told(len(data))
        return Record(read.stamp, written.stamp)
    for _ in range(TRIES):
        try:
            return _copy_large(source, target, entry, key, run, told, notes)
        except Changed:
            entry = look(source, entry.key)
    raise Changed(f"{source.url.child(entry.key)} changes all the time while it is read", "copy it later")


def _copy_large(
    source: Store,
    target: Store,
    entry: Entry,
    key: str,
    run: Run,
    told: Told,
    notes: Notes | None,
) -> Record:
    local = source.url.is_local
    entry = look(source, entry.key) if not local else entry
    sha256 = hash_beginning(source, entry.key, entry.size) if local else entry.metadata.get(SHA256, "")
    size = part_size(entry.size)
    metadata = {SHA256: sha256, PART_SIZE: str(size)} if sha256 else {}
    tag = f"{source.url.child(entry.key)} {sha256 or entry.stamp}"
    if notes:
        notes.intend(key)
    upload = target.upload(key, size, metadata, tag)
    if notes:
        notes.add(key, upload.id)
    try:
        run(_parts(source, entry, upload, told), size)
        if local and look(source, entry.key).stamp != entry.stamp:
            _check_grown(source, entry, sha256)
        written = upload.complete(sha256, entry.md5)
    except BaseException as error:
        _give_up(upload, isinstance(error, Changed), notes)
        raise
    if notes:
        notes.done(upload.id)
    return Record(entry.stamp, written.stamp)


def _give_up(upload: Upload, for_good: bool, notes: Notes | None) -> None:
    try:
        upload.abort() if for_good else upload.suspend()
    except StorageError:
        return  # what has failed says more; the note stays, and the next run aborts it
    if notes:
        notes.done(upload.id)


def _check_grown(source: Store, entry: Entry, sha256: str) -> None:
    if hash_beginning(source, entry.key, entry.size) != sha256:
        raise Changed(f"{source.url.child(entry.key)} changes while it is read")


def _parts(source: Store, entry: Entry, upload: Upload, told: Told) -> list[Callable[[], None]]:
    # Of a file the beginning is read, whatever follows by now; of an object, that version and no other.
    etag = "" if source.url.is_local else entry.etag

    def copy_part(number: int) -> None:
        start = (number - 1) * upload.part_size
        stop = min(start + upload.part_size, entry.size)
        with source.open(entry.key, start, stop, etag) as reader:
            data = reader.read()
        if len(data) != stop - start:
            raise Changed(f"{source.url.child(entry.key)} has become shorter")
        upload.part(number, data)
        told(len(data))

    numbers = range(1, -(-entry.size // upload.part_size) + 1)
    for number in upload.done & set(numbers):
        told(min(upload.part_size, entry.size - (number - 1) * upload.part_size))
    return [lambda number=number: copy_part(number) for number in numbers if number not in upload.done]  # type: ignore[misc]


def are_alike(source: Store, target: Store, entry: Entry, there: Entry) -> Record | None:
    """The record of two of one size, if hashes prove them equal. Files are read, objects are not."""
    if source.url.is_local == target.url.is_local:
        return Record(entry.stamp, there.stamp) if entry.md5 and entry.md5 == there.md5 else None
    files, objects = (source, target) if source.url.is_local else (target, source)
    known = look(objects, there.key if objects is target else entry.key)
    name, wanted = ("sha256", known.metadata[SHA256]) if SHA256 in known.metadata else ("md5", known.md5)
    if not wanted or _hash(files, entry.key if files is source else there.key, name) != wanted:
        return None
    ours, theirs = (entry, known) if objects is target else (known, there)
    return Record(ours.stamp, theirs.stamp)


def _hash(store: Store, key: str, name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    with store.open(key) as reader:
        while piece := reader.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
