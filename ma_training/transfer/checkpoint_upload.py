"""Checkpoints go to storage whole: files first, manifest last, the newest before older ones."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ma_training.checkpoint import Cause, CheckpointError, CheckpointStore, Entry, Manifest, hold
from ma_training.checkpoint.manifest import MANIFEST
from ma_training.storage import Leftovers, StorageError, Store, Task, copy_tree, open_store
from ma_training.storage.sync import FOLDER, Selected, Turn

from .gate import Gate
from .remote_checkpoints import RemoteCheckpoint, read_remote, withdraw
from .tree_upload import take

KEPT_KINDS = ("periodic", "final")  # of causes; others have no use once the job has ended well


class CheckpointUpload:
    """``uploaded(step, url)`` is told of each that is there."""

    def __init__(
        self,
        directory: Path,
        url: str,
        identity: str,
        workers: int,
        gate: Gate,
        uploaded: Callable[[int, str], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.directory, self.url = directory, url
        self._identity, self._workers, self._gate = identity, workers, gate
        self._uploaded, self._environ = uploaded, environ
        self._turn = Turn(directory, lambda text: None, directory / FOLDER, uploads=True)
        self._store: Store | None = None
        self._there: dict[bytes, str] = {}  # manifests that are here and in storage → names there
        self._for_now: dict[bytes, RemoteCheckpoint] = {}  # by manifest: of use only until the job succeeds
        self._left: Sequence[str] = ()
        self.lost = ""

    @property
    def command(self) -> str:
        """To do by hand what is left."""
        below = self.url.rstrip("/")
        return "\n".join(f"launcher sync {path} {below}/{Path(path).name}" for path in self.left())

    def round(self, final: bool = False, gate: Gate | None = None) -> str:
        """Uploads what is not there. Returns why that failed, or ''."""
        self._gate = gate or self._gate
        if self.lost or not self.directory.is_dir():
            return self.lost
        try:
            if not take(self._turn, final, self._gate):
                return ""
            store = self._opened()
            for entry in self._pending():
                if why := self._upload(store, entry):
                    return why
        except (StorageError, CheckpointError) as error:
            return str(error)
        finally:
            if final and self._turn.is_ours:
                self._left = self.left()
                self.close()
        return ""

    def _opened(self) -> Store:
        if self._store is None:
            store = open_store(self.url, self._environ)
            self._there.clear()
            Leftovers(store, self._environ).abort()
            self._store = store
        return self._store

    def _pending(self) -> list[Entry]:
        """Newest first."""
        entries = CheckpointStore(self.directory).entries()
        ours = [entry for entry in entries if entry.manifest.identity == self._identity]
        return [entry for entry in ours if _manifest(entry) not in self._there]

    def _is_there(self, store: Store, entry: Entry, data: bytes) -> tuple[bool, str]:
        """Whether it is, and its name, or one that it may have: another of the same step may be there."""
        name, number = entry.path.name, 1
        while (one := self._read(store, name)) is not None:
            if one.data == data:
                return True, name
            number += 1
            name = f"{entry.path.name}-{number}"
        return False, name

    def _read(self, store: Store, name: str) -> RemoteCheckpoint | None:
        try:
            return read_remote(store, name)
        except CheckpointError:  # damaged: left to people
            return RemoteCheckpoint(name, Manifest("", "", 0, 0, 0, Cause("damaged"), "", {}), b"")

    def _upload(self, store: Store, entry: Entry) -> str:
        try:
            with hold(entry):
                data = (entry.path / MANIFEST).read_bytes()
                there, name = self._is_there(store, entry, data)
                if not there:
                    if why := self._upload_files(store, entry, name):
                        return why
                    store.put(f"{name}/{MANIFEST}", data)
        except (CheckpointError, FileNotFoundError):
            return ""  # removed meanwhile, as there are newer ones
        self._there[data] = name
        if entry.manifest.cause.kind not in KEPT_KINDS:
            self._for_now[data] = RemoteCheckpoint(name, entry.manifest, data)
        if not there:
            self._uploaded(entry.manifest.step, str(store.url.child(name)))
        return ""

    def _upload_files(self, store: Store, entry: Entry, name: str) -> str:
        files = entry.manifest.files
        source = Selected(open_store(entry.path), lambda one: one.key in files, self._gate.check)
        target = open_store(store.url.child(f"{name}/"), self._environ)
        with Leftovers(target, self._environ) as leftovers:
            report = copy_tree(Task(source, target, workers=self._workers, leftovers=leftovers), self._gate)
        self._gate.check()
        if not report.complete:
            return str(report.stopped or f"{report.failed[0][0]}: {report.failed[0][1]}")
        return _why_not_whole(target, entry.manifest)

    def left(self) -> Sequence[str]:
        """Paths of whole checkpoints that are not there."""
        if not self.directory.is_dir() or not self._turn.is_ours:
            return self._left
        return [str(entry.path) for entry in self._pending()]

    def withdraw_superseded(self, job: str) -> None:
        """After a good end: this run's exception checkpoints, which are gone here, go there as well. The same
        command would go on from them instead of beginning anew. Raises StorageError."""
        if self.lost or not self.directory.is_dir():
            return
        here = {_manifest(entry) for entry in CheckpointStore(self.directory).entries()}
        for data, one in self._for_now.items():
            if one.manifest.job == job and data not in here:
                withdraw(self._opened(), one)

    def close(self) -> None:
        if self._turn.is_ours:
            self._turn.release(done=False)
            self._store = None  # another node may upload before our next turn


def _manifest(entry: Entry) -> bytes:
    try:
        return (entry.path / MANIFEST).read_bytes()
    except OSError:
        return b""


def _why_not_whole(target: Store, manifest: Manifest) -> str:
    """By sizes; the manifest must not be there before its files are."""
    there = {entry.key: entry.size for entry in target.list()}
    wrong = [name for name, record in manifest.files.items() if there.get(name) != record.size]
    return f"{target.url}: {wrong[0]} is missing or has another size" if wrong else ""
