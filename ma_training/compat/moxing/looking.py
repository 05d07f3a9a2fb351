"""What is there: exists, is_directory, stat, get_size, list_directory, scan_dir, walk."""

import errno
import os
import stat as modes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from .exceptions import missing, translated
from .location import Path, Remote, is_remote, local


@dataclass(frozen=True, slots=True)
class FileStatistics:
    """``length`` in bytes, 0 of a directory; also by the names of os.stat."""

    length: int
    mtime_nsec: int
    is_directory: bool

    @property
    def st_size(self) -> int:
        return self.length

    @property
    def st_mtime_ns(self) -> int:
        return self.mtime_nsec

    @property
    def st_mtime(self) -> float:
        return self.mtime_nsec / 1e9

    st_atime = st_ctime = st_mtime

    @property
    def st_mode(self) -> int:
        return (modes.S_IFDIR | 0o700) if self.is_directory else (modes.S_IFREG | 0o600)


def exists(url: Path) -> bool:
    """A file, a directory or a bucket is there."""
    if not is_remote(url):
        return os.path.exists(local(url))  # noqa: PTH110 - a user's path, as it is
    with translated():
        place = Remote.of(str(url))
        return place.file() is not None or place.is_directory()


def is_directory(url: Path) -> bool:
    """In object storage: something lies under that name, with a slash written after it or not."""
    if not is_remote(url):
        return os.path.isdir(local(url))  # noqa: PTH112
    with translated():
        return Remote.of(str(url)).is_directory()


def stat(url: Path) -> FileStatistics:
    """Of the object, where an object and a directory have one name. Raises MoxFileNotExistsException."""
    if not is_remote(url):
        return _local_statistics(local(url))
    with translated():
        place = Remote.of(str(url))
        if entry := place.file():
            return FileStatistics(entry.size, entry.mtime_ns, False)
        if place.is_directory():
            return FileStatistics(0, 0, True)
        place.raise_missing()
    raise missing(f"there is no {url}")


def _local_statistics(path: str) -> FileStatistics:
    try:
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        raise missing(f"there is no {path}") from None
    directory = modes.S_ISDIR(found.st_mode)
    return FileStatistics(0 if directory else found.st_size, found.st_mtime_ns, directory)


def get_size(url: Path, recursive: bool = False) -> int:
    """Bytes. Of a directory 0, or with ``recursive`` those of all files in it."""
    found = stat(url)
    if not (found.is_directory and recursive):
        return found.length
    if not is_remote(url):
        return sum(entry.stat(follow_symlinks=False).st_size for entry in _local_files(local(url)))
    with translated():
        place = Remote.of(str(url))
        return sum(entry.size for entry in place.bucket.list(place.prefix))


def _local_files(path: str) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _local_files(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry


def list_directory(
    url: Path,
    recursive: bool = False,
    remove_sep: bool = True,
    skip_file: bool = False,
    skip_dir: bool = False,
) -> list[str]:
    """Names relative to it, sorted; with ``recursive`` those of all below. Not ``remove_sep``: ``dir/``.

    Raises MoxFileNotExistsException, NotADirectoryError.
    """
    with translated():
        names = _remote_names(str(url), recursive) if is_remote(url) else _local_names(local(url), recursive)
    kept = (name for name in names if not (skip_dir if name.endswith("/") else skip_file))
    return sorted(name.rstrip("/") if remove_sep else name for name in kept)


def _remote_names(url: str, recursive: bool) -> list[str]:
    """Directories with a slash."""
    place = Remote.of(url)
    cut = len(place.prefix)
    if recursive:
        names = _with_directories(entry.key[cut:] for entry in place.bucket.list(place.prefix))
    else:
        directories, entries = place.bucket.list_directory(place.prefix.rstrip("/"))
        names = [key[cut:] for key in directories] + [entry.key[cut:] for entry in entries]
    if not names:
        require_directory(place)
    return [name for name in dict.fromkeys(names) if name]


def require_directory(place: Remote) -> None:
    """Raises NotADirectoryError, or NotFound."""
    if place.is_directory():
        return
    if place.file():
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a directory", str(place.url))
    place.raise_missing()


def _with_directories(keys: Iterator[str]) -> list[str]:
    """Each with the directories above it, which listings of objects do not have.

    >>> _with_directories(iter(["a/b/c", "a/d"]))
    ['a/', 'a/b/', 'a/b/c', 'a/d']
    """
    names: dict[str, None] = {}
    for key in keys:
        at = key.find("/")
        while at >= 0:
            names.setdefault(key[: at + 1])
            at = key.find("/", at + 1)
        if key:
            names.setdefault(key)
    return list(names)


def _local_names(path: str, recursive: bool, above: str = "") -> list[str]:
    names = []
    try:
        with os.scandir(path) as entries:
            found = list(entries)
    except FileNotFoundError:
        raise missing(f"there is no {path}") from None
    for entry in found:
        names.append(above + entry.name + ("/" if entry.is_dir() else ""))
        if recursive and entry.is_dir(follow_symlinks=False):
            names += _local_names(entry.path, True, f"{above}{entry.name}/")
    return names


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """As os.scandir gives them; ``path`` is a URL."""

    name: str
    path: str
    _statistics: FileStatistics = field(repr=False)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._statistics.is_directory

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return not self._statistics.is_directory

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> FileStatistics:
        return self._statistics

    def inode(self) -> int:
        return 0

    def __fspath__(self) -> str:
        return self.path


class Scan:
    """An iterator and a context manager, as os.scandir's."""

    def __init__(self, entries: list[DirectoryEntry]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> "Scan":
        return self

    def __next__(self) -> DirectoryEntry:
        return next(self._entries)

    def close(self) -> None:
        self._entries = iter(())

    def __enter__(self) -> "Scan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scan_dir(url: Path) -> Any:
    """What is in a directory, as os.scandir. Raises MoxFileNotExistsException, NotADirectoryError."""
    if not is_remote(url):
        try:
            return os.scandir(local(url))
        except FileNotFoundError:
            raise missing(f"there is no {url}") from None
    with translated():
        return Scan(_scan(str(url)))


def _scan(url: str) -> list[DirectoryEntry]:
    place = Remote.of(url)
    cut = len(place.prefix)
    directories, entries = place.bucket.list_directory(place.prefix.rstrip("/"))
    if not directories and not entries:
        require_directory(place)
    base = url.rstrip("/") + "/"
    found = [(key[cut:].rstrip("/"), FileStatistics(0, 0, True)) for key in directories]
    found += [(entry.key[cut:], FileStatistics(entry.size, entry.mtime_ns, False)) for entry in entries]
    return [DirectoryEntry(name, base + name, statistics) for name, statistics in sorted(found, key=_by_name)]


def _by_name(pair: tuple[str, FileStatistics]) -> str:
    return pair[0]


def walk(
    url: Path,
    topdown: bool = True,
    onerror: Callable[[OSError], object] | None = None,
    followlinks: bool = False,
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk: directory, names of directories in it (which may be cut), names of files."""
    if not is_remote(url):
        yield from os.walk(local(url), topdown, onerror, followlinks)
        return
    try:
        found = list(scan_dir(url))
    except OSError as error:
        if onerror:
            onerror(error)
        return
    directories = [entry.name for entry in found if entry.is_dir()]
    files = [entry.name for entry in found if not entry.is_dir()]
    if topdown:
        yield str(url), directories, files
    for name in directories:
        yield from walk(str(url).rstrip("/") + "/" + name, topdown, onerror)
    if not topdown:
        yield str(url), directories, files
