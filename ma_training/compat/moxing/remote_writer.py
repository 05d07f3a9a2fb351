"""Writes an object as a file: into a temporary one, which is sent when it is flushed or closed.

Modes: ``w`` begins with nothing, ``r+`` and ``a+`` with what is there, ``a`` only holds what is to be added,
so that what others have added meanwhile is kept.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from ma_training.storage import Changed, Entry, Store, Url, copy_file, open_store
from ma_training.storage.transfer import SMALL

from . import auth, copying
from .location import Remote

log = logging.getLogger("moxing")
PIECE = 1 << 20


class RemoteWriter:
    """``file`` is what is written to, in binary. Raises NotFound for ``r+`` of what is not there."""

    def __init__(self, place: Remote, mode: str) -> None:
        self._place, self._mode = place, mode
        self._store = auth.open_at(place.url.parent)
        self._name = place.url.name
        self._folder = tempfile.TemporaryDirectory(prefix="moxing-")
        self.path = Path(self._folder.name, "content")
        self.file: BinaryIO = open(self.path, "w+b")  # noqa: SIM115
        self._base: Entry | None = None  # what the file began with
        self.dirty = mode in ("w", "w+", "a", "a+")  # an empty file is a file
        try:
            if mode in ("r+", "a+"):
                self._fetch()
        except BaseException:
            self.close()
            raise

    def _fetch(self) -> None:
        self._base = self._place.file()
        if self._base is None:
            if self._mode == "r+":
                self._place.raise_missing()
            return
        with self._store.open(self._name, etag=self._base.etag) as reader:
            while piece := reader.read(PIECE):
                self.file.write(piece)
        self.file.flush()
        self.file.seek(0)
        self.dirty = False

    def send(self) -> None:
        """Makes what was written visible; nothing happens where nothing was since the last time."""
        self.file.flush()
        if not self.dirty:
            return
        if self._mode == "a":
            append_file(self._place, self.path)
            self.file.truncate(0)
            self.file.seek(0)
        else:
            self._check_base()
            self._base = put_file(self._store, self._name, self.path)
        self.dirty = False

    def _check_base(self) -> None:
        if self._mode in ("r+", "a+"):
            now = self._place.file()
            if (now and now.etag) != (self._base and self._base.etag):
                raise Changed(
                    f"{self._place.url} was changed by others since it was opened: it is not written over",
                    f"what was written is in {self.keep()}",
                )

    def keep(self) -> Path:
        """Where what was written stays, as a file of the user's."""
        self.file.flush()
        fd, name = tempfile.mkstemp(prefix="moxing-unsent-")
        os.close(fd)
        self.path.replace(name)
        self.path.touch()
        return Path(name)

    def close(self) -> None:
        self.file.close()
        self._folder.cleanup()


def put_file(store: Store, name: str, path: Path) -> Entry | None:
    """The file ``path`` becomes ``name``; with threads where it is large. What it became."""
    size = path.stat().st_size
    if size <= SMALL:
        return store.put(name, path.read_bytes())
    folder = open_store(Url.parse(path.parent))
    entry = folder.head(path.name)
    assert entry is not None
    with copying.task_between(folder, store, size) as (task, watching):
        copy_file(folder, entry, store, name, task, watching)
    return store.head(name)


def append_file(place: Remote, tail: Path) -> None:
    """Adds ``tail`` to the object, or makes it. There is no such request: all of it is written anew."""
    store, name = auth.open_at(place.url.parent), place.url.name
    for _ in range(5):
        base = place.file()
        if base is None:
            put_file(store, name, tail)
            return
        if not tail.stat().st_size:
            return
        if _appended(place, store, base, tail):
            return
    raise Changed(
        f"{place.url} is changed by others all the time: nothing was added", "write to another file"
    )


def _appended(place: Remote, store: Store, base: Entry, tail: Path) -> bool:
    """False: it was changed by others meanwhile."""
    with tempfile.TemporaryDirectory(prefix="moxing-") as folder:
        whole = Path(folder, "content")
        try:
            with open(whole, "wb") as file, store.open(place.url.name, etag=base.etag) as reader:
                while piece := reader.read(PIECE):
                    file.write(piece)
                with open(tail, "rb") as added:
                    while piece := added.read(PIECE):
                        file.write(piece)
        except Changed:
            return False
        now = place.file()
        if now is None or now.etag != base.etag:
            return False
        put_file(store, place.url.name, whole)
        return True
