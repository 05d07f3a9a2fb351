"""Reads what others may be writing to: what is taken is what was there at one moment, or nothing.

A file that only grows, such as a log, is taken at the size that it had: its beginning is read twice, and
must be the same. Objects cannot change while they are read: each request says which version it means.
"""

import hashlib

from .errors import Changed, Damaged, NotFound
from .store import SHA256, Entry, Store

TRIES = 3
PIECE = 1 << 20


def read_small(store: Store, entry: Entry) -> tuple[bytes, Entry]:
    """All of it, and what it was. Raises Changed where it is never still, NotFound where it is gone."""
    for _ in range(TRIES):
        try:
            data, entry = _read_object(store, entry) if not store.url.is_local else _read_file(store, entry)
        except Changed:
            entry = look(store, entry.key)
            continue
        return data, entry
    raise Changed(f"{store.url.child(entry.key)} changes all the time while it is read", "copy it later")


def _read_object(store: Store, entry: Entry) -> tuple[bytes, Entry]:
    with store.open(entry.key, etag=entry.etag) as reader:
        data, found = reader.read(), reader.entry
    digest = hashlib.sha256(data).hexdigest()
    if found.metadata.get(SHA256, digest) != digest:
        raise Damaged(f"{store.url.child(entry.key)} does not fit the SHA-256 that it was written with")
    if found.md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != found.md5:
        _check_again(store, found, data)
    return data, found


def _check_again(store: Store, entry: Entry, data: bytes) -> None:
    """The same bytes again: then what looks like an MD5 is none (encrypted objects have such etags)."""
    with store.open(entry.key, etag=entry.etag) as reader:
        if reader.read() != data:
            raise Damaged(f"{store.url.child(entry.key)} is read differently each time", "try again")


def _read_file(store: Store, entry: Entry) -> tuple[bytes, Entry]:
    data, before = _beginning(store, entry)
    if look(store, entry.key).stamp != before.stamp:
        again, _ = _beginning(store, before)
        if again != data:
            raise Changed(f"{store.url.child(entry.key)} changes")
    return data, before


def _beginning(store: Store, entry: Entry) -> tuple[bytes, Entry]:
    """As many bytes as it had when it was looked at."""
    with store.open(entry.key) as reader:
        size = min(entry.size, reader.entry.size)
        data = reader.read(size)
        if len(data) < size or reader.entry.size < entry.size:
            raise Changed(f"{store.url.child(entry.key)} has become shorter")
        return data, reader.entry if reader.entry.size == entry.size else entry


def hash_beginning(store: Store, key: str, size: int) -> str:
    """SHA-256 of the first ``size`` bytes of a file; raises Changed where it has fewer."""
    digest, left = hashlib.sha256(), size
    with store.open(key) as reader:
        while left:
            piece = reader.read(min(PIECE, left))
            if not piece:
                raise Changed(f"{store.url.child(key)} has become shorter")
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def look(store: Store, key: str) -> Entry:
    entry = store.head(key)
    if entry is None:
        raise NotFound(f"{store.url.child(key)} is gone: it was removed while it was to be copied")
    return entry
