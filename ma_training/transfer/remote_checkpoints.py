"""Checkpoints in storage: ``<url>/step-000000500/...``, whole where there is a manifest, which comes last."""

from dataclasses import dataclass
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


def remote_checkpoints(store: Store) -> tuple[list[RemoteCheckpoint], list[str]]:
    """Newest first; and what cannot be resumed from, in words. Raises StorageError."""
    directories, _ = store.list_directory()
    found, rejected = [], []
    for name in (directory.rstrip("/") for directory in directories):
        if not is_name(name):
            continue
        try:
            found.append(_read(store, name))
        except NotFound:
            continue  # its upload has not come to its end, or goes on
        except CheckpointError as error:
            rejected.append(str(error))
    return sorted(found, key=RemoteCheckpoint.age_key, reverse=True), rejected


def _read(store: Store, name: str) -> RemoteCheckpoint:
    key = f"{name}/{MANIFEST}"
    with store.open(key) as reader:
        if reader.entry.size > MOST_MANIFEST:
            raise CheckpointError(f"{store.url.child(key)}: too large for a manifest")
        data = reader.read()
    return RemoteCheckpoint(name, Manifest.from_json(data, str(store.url.child(key))), data)


def withdraw(store: Store, one: RemoteCheckpoint) -> None:
    """Removes it, manifest first: no one finds a part of it."""
    store.delete(f"{one.name}/{MANIFEST}")
    for file in one.manifest.files:
        store.delete(f"{one.name}/{file}")
