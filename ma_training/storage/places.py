"""What ``cp SRC DST`` means: which folder or file becomes which, as ``ma-cli obs-copy`` has it.

    cp f  DST/   ->  DST/f                cp f DST     ->  DST, or DST/f where DST is a directory
    cp d  DST    ->  DST/d/...            cp d DST with drop_last  ->  DST/...

whether or not ``d`` ends in a slash. ``sync`` and moxing's copy_parallel drop the last directory.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import BadUrl, NotFound
from .local_errors import nearest
from .opening import open_store
from .store import Entry, Store
from .url import Url


@dataclass(frozen=True, slots=True)
class File:
    """``entry`` of ``source`` becomes ``key`` of ``target``."""

    source: Store
    entry: Entry
    target: Store
    key: str
    within: Store | None  # the bucket that both are in


@dataclass(frozen=True, slots=True)
class Tree:
    """All of ``source`` comes to be under ``target``."""

    source: Store
    target: Store
    within: Store | None


def resolve(
    source: Url, target: Url, drop_last: bool, environ: Mapping[str, str] = os.environ
) -> File | Tree:
    """Raises NotFound for a source that is not there, BadUrl where one of the two is inside the other."""
    if entry := find_file(source, environ):
        return _file(source, entry, target, environ)
    store = open_store(source.directory, environ)
    if not has_any(store):
        raise missing(source, environ)
    last = "" if drop_last or not source.key.strip("/") else source.name + "/"
    target = target.directory.child(last)
    if target.scheme == source.scheme and target.bucket == source.bucket:
        _check_apart(source.directory, target)
    return Tree(store, open_store(target, environ), _within(source, target, environ))


def find_file(url: Url, environ: Mapping[str, str]) -> Entry | None:
    """The file or object of that very name; None where it is written as a directory."""
    if url.is_directory:
        return None
    return open_store(url.parent, environ).head(url.name)


def has_any(store: Store) -> bool:
    """There is something under its root, or, of a folder, the folder itself."""
    if store.url.is_local:
        return Path(store.url.key).is_dir()
    return next(store.list(), None) is not None


def missing(url: Url, environ: Mapping[str, str]) -> NotFound:
    """With the nearest that there is."""
    if url.is_local:
        return NotFound(f"there is no {url}", nearest(url.key.rstrip("/")))
    folder = url
    while folder.key:
        folder = folder.parent
        directories, entries = open_store(folder, environ).list_directory()
        if found := [*directories, *(entry.key for entry in entries)]:
            some = ", ".join(found[:3]) + (" ..." if len(found) > 3 else "")
            return NotFound(f"there is no {url}", f"the nearest that there is: {folder} with {some}")
    return NotFound(f"there is no {url}", f"the bucket {url.bucket} is empty")


def _file(source: Url, entry: Entry, target: Url, environ: Mapping[str, str]) -> File:
    into = target.is_directory or (target.is_local and Path(target.key).is_dir())
    target = target.directory.child(source.name) if into else target
    if str(target) == str(source):
        raise BadUrl(f"{source} would be copied onto itself")
    folder, into_folder = open_store(source.parent, environ), open_store(target.parent, environ)
    return File(folder, entry, into_folder, target.name, _within(source, target, environ))


def _within(source: Url, target: Url, environ: Mapping[str, str]) -> Store | None:
    same = (source.scheme, source.bucket) == (target.scheme, target.bucket)
    return open_store(source.root, environ) if same and not source.is_local else None


def _check_apart(source: Url, target: Url) -> None:
    one, other = (_real(url) for url in (source, target))
    if one.startswith(other) or other.startswith(one):
        raise BadUrl(f"{source} and {target} are inside one another", "copy to a directory beside it")


def _real(url: Url) -> str:
    return os.path.realpath(url.key).rstrip("/") + "/" if url.is_local else url.key
