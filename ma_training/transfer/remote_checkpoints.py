"""Checkpoints in storage: ``<url>/step-000000500/...``, whole where there is a manifest, which comes last."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ma_training.checkpoint import CheckpointError, Entry, Manifest, is_name
from ma_training.checkpoint.manifest import MANIFEST
from ma_training.storage import NotFound, Store

MOST_MANIFEST = 256 << 20  # bytes


@dataclass(frozen=True, slots=True)
class RemoteCheckpoint:
    name: str
    manifest: Manifest
    data: bytes  # of the manifest

    def age_key(self) -> tuple[object, ...]:
        """Sorts from old to new, together with those on a disk."""
        return Entry(Path(self.name), self.manifest).age_key()


def remote_checkpoints(store: Store) -> Iterator[RemoteCheckpoint | str]:
    """Newest first, read as they are asked for, as there may be thousands; in words, why one cannot be
    resumed from. Raises StorageError."""
    directories, _ = store.list_directory()
    names = [directory.rstrip("/") for directory in directories if is_name(directory.rstrip("/"))]
    for _, same in groupby(sorted(names, key=_step, reverse=True), key=_step):
        found = []
        for name in same:
            try:
                if one := read_remote(store, name):
                    found.append(one)
            except CheckpointError as error:
                yield str(error)
        yield from sorted(found, key=RemoteCheckpoint.age_key, reverse=True)


def _step(name: str) -> int:
    return int(name.split("-")[1])


def read_remote(store: Store, name: str) -> RemoteCheckpoint | None:
    """None where its upload has not come to its end. Raises CheckpointError for a damaged manifest."""
    key = f"{name}/{MANIFEST}"
    try:
        with store.open(key) as reader:
            if reader.entry.size > MOST_MANIFEST:
                raise CheckpointError(f"{store.url.child(key)}: too large for a manifest")
            data = reader.read()
    except NotFound:
        return None
    return RemoteCheckpoint(name, Manifest.from_json(data, str(store.url.child(key))), data)


def withdraw(store: Store, one: RemoteCheckpoint) -> None:
    """Removes it, manifest first: no one finds a part of it."""
    store.delete(f"{one.name}/{MANIFEST}")
    for file in one.manifest.files:
        store.delete(f"{one.name}/{file}")
