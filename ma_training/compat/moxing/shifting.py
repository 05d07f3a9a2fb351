"""``shift('os', 'mox')``: functions of os, shutil, glob and open take obs:// and s3:// as well; and back.

Each is replaced by one that looks at the first argument: what is not in object storage goes to Python's own,
as it is. What other modules have imported by name before (``from os import listdir``) is not changed.
"""

import builtins
import functools
import glob
import os
import shutil
import threading
from collections.abc import Callable
from typing import Any

from . import changing, copying, globbing, looking
from .file_object import File
from .location import is_remote

_lock = threading.Lock()
_originals: dict[tuple[Any, str], Callable[..., Any]] = {}
# Where Python says which of its functions take a descriptor and the like: the new ones do what those did.
_SETS = (
    os.supports_dir_fd,
    os.supports_effective_ids,
    os.supports_fd,
    os.supports_follow_symlinks,
)


def _listdir(path: str = ".") -> list[str]:
    return looking.list_directory(path)


def _makedirs(name: str, mode: int = 0o777, exist_ok: bool = False) -> None:
    changing.make_dirs(name)


def _mkdir(path: str, mode: int = 0o777, *, dir_fd: None = None) -> None:
    changing.mk_dir(path)


def _remove(path: str, *, dir_fd: None = None) -> None:
    changing.remove(path)


def _stat(path: str, *, dir_fd: None = None, follow_symlinks: bool = True) -> looking.FileStatistics:
    return looking.stat(path)


def _rename(src: str, dst: str, *, src_dir_fd: None = None, dst_dir_fd: None = None) -> None:
    changing.rename(src, dst)


def _copyfile(src: str, dst: str, *, follow_symlinks: bool = True) -> str:
    copying.copy(src, dst)
    return dst


def _copytree(src: str, dst: str, *words: Any, **options: Any) -> str:
    if words or options.keys() - {"dirs_exist_ok"}:
        named = ", ".join(sorted(options)) or "positional ones"
        raise TypeError(f"copytree from or to object storage takes no options: {named}")
    copying.copy_parallel(src, dst)
    return dst


def _rmtree(path: str, ignore_errors: bool = False, onerror: Any = None, **options: Any) -> None:
    try:
        changing.remove(path, recursive=True)
    except OSError:
        if not ignore_errors:
            raise


def _glob(pathname: str, *, recursive: bool = False, **options: Any) -> list[str]:
    return globbing.glob(pathname, recursive)


def _open(
    file: str,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: None = None,
) -> File:
    return File(file, mode, buffering, encoding, errors, newline)


# The table of the documentation.
_TABLE: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (builtins, "open", _open),
    (glob, "glob", _glob),
    (os, "listdir", _listdir),
    (os, "makedirs", _makedirs),
    (os, "mkdir", _mkdir),
    (os, "remove", _remove),
    (os, "rename", _rename),
    (os, "scandir", looking.scan_dir),
    (os, "stat", _stat),
    (os, "walk", looking.walk),
    (os.path, "exists", looking.exists),
    (os.path, "getsize", looking.get_size),
    (os.path, "isdir", looking.is_directory),
    (shutil, "copyfile", _copyfile),
    (shutil, "copytree", _copytree),
    (shutil, "rmtree", _rmtree),
)
_TWO = ("rename", "copyfile", "copytree")  # of them either argument may be remote


def shift(src: str, dst: str) -> None:
    """``shift('os', 'mox')`` begins it, ``shift('mox', 'os')`` ends it; twice is as once."""
    if (src, dst) == ("os", "mox"):
        _begin()
    elif (src, dst) == ("mox", "os"):
        _end()
    else:
        raise ValueError(f"shift({src!r}, {dst!r}): only shift('os', 'mox') and shift('mox', 'os') are known")


def _begin() -> None:
    with _lock:
        if _originals:
            return
        for module, name, ours in _TABLE:
            original = getattr(module, name)
            _originals[module, name] = original
            both = _either(original, ours, 2 if name in _TWO else 1)
            for known in _SETS:
                if original in known:
                    known.add(both)
            setattr(module, name, both)


def _end() -> None:
    with _lock:
        for (module, name), original in _originals.items():
            for known in _SETS:
                known.discard(getattr(module, name))
            setattr(module, name, original)
        _originals.clear()


def _either(original: Callable[..., Any], ours: Callable[..., Any], places: int) -> Callable[..., Any]:
    """Python's own, or ours where one of the first ``places`` arguments, or one by name, is remote."""

    @functools.wraps(original)
    def either(*words: Any, **options: Any) -> Any:
        if any(map(is_remote, words[:places])) or (options and any(map(is_remote, options.values()))):
            return ours(*words, **options)
        return original(*words, **options)

    return either
