"""Fetches the newest valid checkpoint from storage, where this disk has nothing as new.

It is made in ``.fetching/<name>/``, where a later try goes on, and gets its name when every hash fits.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ma_training.checkpoint import CheckpointStore, Entry, FileRecord, Manifest, check_sizes, verify
from ma_training.checkpoint.making import sync_directory
from ma_training.checkpoint.manifest import MANIFEST
from ma_training.checkpoint.store import describe
from ma_training.job import format_duration, format_size
from ma_training.storage import (
    Damaged,
    StorageError,
    Store,
    Task,
    Watching,
    check_room,
    copy_file,
    open_store,
    room_at,
)

from .remote_checkpoints import RemoteCheckpoint, remote_checkpoints

FETCHING = ".fetching"


def fetch_newest(
    directory: Path,
    url: str,
    identity: str,
    workers: int,
    say: Callable[[str], None],
    watching: Watching,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Says what it took and why. Raises StorageError where storage cannot be asked, or nothing there is valid
    although there are checkpoints: to begin from scratch then is for people to decide."""
    store = open_store(url, environ)
    here = newest_here(directory, identity)
    faults, others, done = 0, 0, False
    for one in remote_checkpoints(store):
        fault = one if isinstance(one, str) else ""
        if isinstance(one, RemoteCheckpoint):
            if one.manifest.identity != identity:
                others += 1
                continue
            if here and here.age_key()[:2] >= one.age_key()[:2]:
                say(f"step {here.manifest.step} is on this disk; {store.url} has nothing newer")
                done = True
                break
            fault = _fetch(directory, store, one, workers, say, watching, environ)
        if not fault:
            done = True
            break
        faults += 1
        say(f"not resumed from: {fault}")
    if others:
        say(f"not resumed from: {others} checkpoints in {store.url} are of other jobs than {identity!r}")
    if not done and here is None:
        _begin_anew(store, faults, say)
    shutil.rmtree(directory / FETCHING, ignore_errors=True)


def _begin_anew(store: Store, faults: int, say: Callable[[str], None]) -> None:
    if faults:
        hint = "look at it with launcher ls; name another --checkpoint-url to begin anew"
        raise StorageError(f"no checkpoint in {store.url} is valid, of {faults}", hint)
    say(f"no checkpoint in {store.url}: training begins anew")


def newest_here(directory: Path, identity: str) -> Entry | None:
    for entry in CheckpointStore(directory).entries():
        if entry.manifest.identity == identity and not check_sizes(entry.path, entry.manifest):
            return entry
    return None


def _fetch(
    directory: Path,
    store: Store,
    one: RemoteCheckpoint,
    workers: int,
    say: Callable[[str], None],
    watching: Watching,
    environ: Mapping[str, str],
) -> str:
    """Why it is not valid, or ''. Raises StorageError where it cannot be had now."""
    url, making = store.url.child(f"{one.name}/"), directory / FETCHING / one.name
    say(f"fetching step {one.manifest.step} from {url}: this disk has nothing as new")
    making.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = time.monotonic()
    if fault := _fetch_files(open_store(url, environ), making, one.manifest, workers, watching):
        return fault
    if faults := verify(making, one.manifest):
        shutil.rmtree(making, ignore_errors=True)
        return f"{url}: {describe(faults)}"
    _take_name(directory, making, one)
    size, took = format_size(one.manifest.size), format_duration(time.monotonic() - began)
    say(f"step {one.manifest.step} ({one.manifest.cause.kind}) is here, verified ({size} in {took})")
    return ""


def _fetch_files(source: Store, making: Path, manifest: Manifest, workers: int, watching: Watching) -> str:
    """Why it is not valid, or ''. What an earlier try has fetched is not fetched again: hashes follow."""
    target = open_store(making)
    missing = [name for name, record in manifest.files.items() if not _is_here(making / name, record)]
    size = sum(manifest.files[name].size for name in missing)
    check_room(making, size, len(missing) + 1, room_at(making))
    for name in missing:
        entry = source.head(name)
        if entry is None:
            return f"{source.url}{name} is missing"
        try:
            copy_file(source, entry, target, name, Task(source, target, workers=workers), watching)
        except Damaged as error:
            return error.message
    return ""


def _is_here(path: Path, record: FileRecord) -> bool:
    try:
        return path.lstat().st_size == record.size
    except FileNotFoundError:
        return False


def _take_name(directory: Path, making: Path, one: RemoteCheckpoint) -> None:
    for file in one.manifest.files:
        _make_durable(making / file)
    (making / MANIFEST).write_bytes(one.data)
    _make_durable(making / MANIFEST)
    sync_directory(making)
    name, number = one.name, 1
    while True:
        try:
            making.rename(directory / name)
            break
        except OSError:
            if not os.path.lexists(directory / name):
                raise
        number += 1
        name = f"{one.name.split('-')[0]}-{one.name.split('-')[1]}-{number}"
    sync_directory(directory)


def _make_durable(path: Path) -> None:
    path.chmod(0o600)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
