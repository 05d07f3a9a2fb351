"""make_dirs, mk_dir, remove, rename.

What is moved is deleted at its old place when the new one is whole, and not before.
"""

import errno
import logging
import os
import shutil

from ma_training.storage import BadUrl, Entry, Store, Url

from . import auth, copying
from .exceptions import missing, translated
from .location import Path, Remote, is_remote, local, url_of

log = logging.getLogger("moxing")


def make_dirs(url: Path) -> None:
    """Makes a directory and those above it; nothing happens where it is there. Raises FileExistsError."""
    if not is_remote(url):
        os.makedirs(local(url), exist_ok=True)  # noqa: PTH103
        return
    with translated():
        _make(Remote.of(str(url)))


def mk_dir(url: Path) -> None:
    """The same, but raises MoxFileNotExistsException where the directory above is not there."""
    if not is_remote(url):
        try:
            os.mkdir(local(url))  # noqa: PTH102
        except FileNotFoundError:
            raise missing(f"{url} cannot be made: the directory above it is not there") from None
        except FileExistsError:
            if not os.path.isdir(local(url)):  # noqa: PTH112
                raise
        return
    with translated():
        place = Remote.of(str(url))
        above = Remote.of(str(place.url.directory.parent))
        if above.key and not above.is_directory():
            raise missing(f"{url} cannot be made: there is no {above.url}", "mox.file.make_dirs makes both")
        _make(place)


def _make(place: Remote) -> None:
    if place.key and place.bucket.head(place.key):
        raise FileExistsError(errno.EEXIST, "a file of that name is there", str(place.url))
    if not place.key:
        place.raise_missing()
    elif not place.is_directory():
        place.bucket.put(place.prefix, b"")


def remove(url: Path, recursive: bool = False) -> None:
    """A file, or with ``recursive`` a directory with all that is in it.

    Nothing happens for a directory without ``recursive``, for ``file/``, and where nothing is there. Where an
    object and a directory have one name it is the object, and with a slash after it the directory. Refuses
    a whole bucket, and ``/``.
    """
    with translated():
        if not is_remote(url):
            _remove_local(local(url), recursive)
            return
        place = Remote.of(str(url))
        if place.file():
            place.bucket.delete(place.key)
        elif recursive:
            refuse_root(place.url)
            _delete_all(place.bucket, [entry.key for entry in place.bucket.list(place.prefix)])
        elif place.is_directory():
            log.warning("%s is a directory, and is not removed: that takes recursive=True", url)


def _remove_local(path: str, recursive: bool) -> None:
    if os.path.isdir(path) and not os.path.islink(path.rstrip("/")):  # noqa: PTH112, PTH114
        if recursive:
            refuse_root(Url.parse(path))
            shutil.rmtree(path)
        else:
            log.warning("%s is a directory, and is not removed: that takes recursive=True", path)
    elif os.path.lexists(path) and not path.endswith("/"):
        os.unlink(path)  # noqa: PTH108


def refuse_root(url: Url) -> None:
    if not url.key.strip("/"):
        raise BadUrl(f"{url} would be emptied", "name the directories that are to go")


def _delete_all(store: Store, keys: list[str]) -> None:
    for key in reversed(keys):  # what is in a directory before the directory
        store.delete(key)


def rename(src_url: Path, dst_url: Path) -> None:
    """A file or a directory, between any two places. A file at the new place is written over.

    Raises MoxFileNotExistsException, and OSError where the new place is a directory that holds something.
    """
    with translated():
        source, target = url_of(src_url), url_of(dst_url)
        if source.is_local and target.is_local:
            _rename_local(source.key, target.key)
        elif copying.is_same(source, target):
            return
        elif not source.is_directory and (entry := copying.find_file(source)):
            copying.one_file(source, entry, target)
            _forget(auth.open_at(source.parent), [entry])
        elif copying.is_directory(source):
            refuse_root(source)
            _move_tree(source, target)
        else:
            copying.raise_missing(source)


def _rename_local(source: str, target: str) -> None:
    try:
        os.makedirs(os.path.dirname(target.rstrip("/")), exist_ok=True)  # noqa: PTH103, PTH120
        shutil.move(source, target) if _is_far(source, target) else os.rename(source, target)  # noqa: PTH104
    except FileNotFoundError:
        raise missing(f"there is no {source}") from None


def _is_far(source: str, target: str) -> bool:
    """On another file system, where a rename would fail."""
    above = os.path.dirname(target.rstrip("/"))  # noqa: PTH120
    return os.lstat(source).st_dev != os.stat(above).st_dev  # noqa: PTH116


def _move_tree(source: Url, target: Url) -> None:
    copying.check_apart(source, target)
    if _holds_something(target):
        raise OSError(errno.ENOTEMPTY, "it is there, and holds something", str(target))
    skipped: list[str] = []
    store = auth.open_at(source.directory)
    if source.is_local:
        from ma_training.storage import open_store

        store = open_store(source.directory, skipped=lambda key, why: skipped.append(key))
    before = list(store.list())
    if skipped:
        some = ", ".join(skipped[:5])
        raise OSError(errno.EINVAL, f"links and devices cannot be moved there: {some}", str(source))
    copying.tree(source, target)
    _forget(store, before)
    if source.is_local:
        _remove_empty(source.key)


def _holds_something(target: Url) -> bool:
    if target.is_local:
        return os.path.isdir(target.key) and bool(os.listdir(target.key))  # noqa: PTH112
    place = Remote.of(str(target))
    return any(entry.key != place.prefix for entry in place.bucket.list(place.prefix))


def _forget(store: Store, copied: list[Entry]) -> None:
    """Deletes what was copied, unless it has changed since: that has not been copied."""
    for entry in reversed(copied):
        now = None if entry.is_directory else store.head(entry.key)
        if now is None or now.stamp == entry.stamp:
            store.delete(entry.key)
        else:
            log.warning("%s has changed while it was moved: it is left", store.url.child(entry.key))


def _remove_empty(folder: str) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)  # noqa: PTH106
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
