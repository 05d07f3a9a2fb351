"""A folder as a Store.

Files are written under a name of their own (part_files.py) and renamed when they are whole. Listings
leave out those names, symbolic links and whatever is neither file nor directory. What is asked for by
its name may be a link; nothing is written through one that leads out of the folder.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .errors import BadKey, Changed, NotFound
from .file_reader import FileReader, entry_of
from .keys import as_bytes, check_path
from .local_errors import told
from .part_files import PartFile, new_part, part_id, sidecar, sweep
from .store import Entry, Unfinished, Upload
from .url import Url


def _nobody(key: str, why: str) -> None:
    pass


class DirectoryStore:
    """``skipped(key, why)`` is told what listings leave out. The folder is made when it is written to."""

    def __init__(self, url: Url, skipped: Callable[[str, str], None] = _nobody) -> None:
        self.url = url.directory
        self._root = Path(url.key)
        self._skipped = skipped
        self._safe: set[Path] = set()  # folders that are there and inside

    # --- finding ---

    def list(self, prefix: str = "") -> Iterator[Entry]:
        folder, slash, _ = prefix.rpartition("/")
        if folder:
            check_path(folder)
        if (self._root / folder).is_dir():
            yield from (entry for entry in self._walk(folder + slash) if entry.key.startswith(prefix))

    def _walk(self, folder: str) -> Iterator[Entry]:
        for key, found in self._scan(folder):
            if not key.endswith("/"):
                yield entry_of(key, found)
            elif self._is_empty(key):
                yield Entry(key, 0, found.st_mtime_ns)
            else:
                yield from self._walk(key)

    def list_directory(self, prefix: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        folder = prefix.rstrip("/") + "/" if prefix else ""
        if folder:
            check_path(folder)
        if not (self._root / folder).is_dir():
            return [], []
        found = list(self._scan(folder))
        files = [entry_of(key, status) for key, status in found if not key.endswith("/")]
        return [key for key, _ in found if key.endswith("/")], files

    def _scan(self, folder: str) -> Sequence[tuple[str, os.stat_result]]:
        """What is in one folder, in the order of keys, which for directories counts their slash."""
        found: list[tuple[str, os.stat_result]] = []
        with told("list", self._root / folder), os.scandir(self._root / folder) as entries:
            for entry in entries:
                if part_id(entry.name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed since: it is not there
                if stat.S_ISDIR(status.st_mode):
                    found.append((f"{folder}{entry.name}/", status))
                elif stat.S_ISREG(status.st_mode):
                    found.append((folder + entry.name, status))
                else:
                    kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "neither file nor directory"
                    self._skipped(folder + entry.name, kind)
        return sorted(found, key=lambda pair: as_bytes(pair[0]))

    def _is_empty(self, folder: str) -> bool:
        with told("list", self._root / folder), os.scandir(self._root / folder) as entries:
            return all(part_id(entry.name) for entry in entries)

    def head(self, key: str) -> Entry | None:
        path = self._path(key)
        try:
            with told("read", path):
                status = path.stat()
        except (NotFound, BadKey):  # BadKey: below a file there is nothing
            return None
        return entry_of(key, status) if stat.S_ISREG(status.st_mode) else None

    # --- reading ---

    def open(self, key: str, start: int = 0, stop: int | None = None, etag: str = "") -> FileReader:
        path = self._path(key)
        with told("read", path):
            file = path.open("rb", buffering=0)
        reader = FileReader(file, key, start, stop)
        if etag and reader.entry.etag != etag:
            reader.close()
            raise Changed(f"{path} is no longer what it was when it was listed")
        return reader

    # --- writing ---

    def put(
        self, key: str, data: bytes, metadata: Mapping[str, str] | None = None, if_none_match: bool = False
    ) -> Entry:
        path = self._path(key)
        if key.endswith("/"):
            return self._make_directory(key, data)
        self._make_safe(path.parent)
        with told("write", path):
            part = new_part(path)
            try:
                part.write(data)
                entry = part.finish(key, path, if_none_match)
            except BaseException:
                part.abort()
                raise
        return entry

    def _make_directory(self, key: str, data: bytes) -> Entry:
        if data:
            raise BadKey(
                f"{key!r} is a directory by its name, and holds {len(data)} bytes: it is not written"
            )
        self._make_safe(self._path(key))
        return Entry(key, 0, self._path(key).stat().st_mtime_ns)

    def upload(
        self, key: str, part_size: int, metadata: Mapping[str, str] | None = None, tag: str = ""
    ) -> Upload:
        path = self._path(key)
        self._make_safe(path.parent)
        with told("write", path):
            return PartFile.begin(key, path, part_size, tag)

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        folder = prefix.rpartition("/")[0]
        for directory, _, names in os.walk(self._root / folder):
            for name in names:
                path = Path(directory, name)
                if (found := part_id(name)) and name.endswith(".part"):
                    key = str(path.with_name(found[0]).relative_to(self._root))
                    if key.startswith(prefix):
                        yield Unfinished(key, name, path.lstat().st_mtime_ns)

    def abort(self, upload: Unfinished) -> None:
        if not part_id(upload.id):
            raise BadKey(f"{upload.id!r} is no unfinished file")
        path = self._path(upload.key).with_name(upload.id)
        with told("remove", path):
            path.unlink(missing_ok=True)
            sidecar(path).unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with told("remove", path):
            try:
                path.rmdir() if key.endswith("/") else path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                pass  # it is not there

    def copy(self, source: str, target: str) -> Entry:
        with self.open(source) as reader, told("write", self._path(target)):
            path = self._path(target)
            self._make_safe(path.parent)
            part = new_part(path)
            try:
                with open(part.fd, "wb", closefd=False) as file:
                    shutil.copyfileobj(reader, file, 1 << 20)
                return part.finish(target, path, False)
            except BaseException:
                part.abort()
                raise

    # --- where it lies ---

    def _path(self, key: str) -> Path:
        return self._root / check_path(key)

    def _make_safe(self, folder: Path) -> None:
        """Makes ``folder``; raises BadKey where links on the way to it lead out of the root."""
        if folder in self._safe and folder.is_dir():  # it may have been removed since
            return
        if not folder.resolve().is_relative_to(self._root.resolve()):
            raise BadKey(f"{folder} leads out of {self._root} by a symbolic link: nothing is written there")
        with told("make the directory", folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise BadKey(f"{folder} is a file, and a directory is needed", "move one of them") from None
            sweep(folder, time.time())
        self._safe.add(folder)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self.url)!r})"
