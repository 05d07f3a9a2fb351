"""``copy`` and ``copy_parallel``, by storage's engine. Nothing is ever deleted, and the source is only read.

copy            one file; into the target where that is a directory or ends in a slash
copy_parallel   what is in a directory comes to lie directly in the target; one file as by copy
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path as LocalPath

from ma_training.job import format_size
from ma_training.storage import (
    BadUrl,
    Entry,
    Leftovers,
    Progress,
    Report,
    Store,
    Task,
    Url,
    Watching,
    check_room,
    copy_file,
    copy_tree,
    room_at,
)

from . import auth, file_io
from .chosen import Chosen, relative
from .exceptions import (
    MoxFileNameDuplicateException,
    MoxFileRespException,
    Response,
    as_moxing,
    missing,
    translated,
)
from .location import Path, Remote, url_of

log = logging.getLogger("moxing")


def copy(src_url: Path, dst_url: Path, client_id: object = None) -> None:
    """Raises MoxFileNotExistsException, IsADirectoryError, MoxFileRespException."""
    with translated():
        source = url_of(src_url)
        entry = find_file(source)
        if entry is None:
            if is_directory(source):
                text = f"{source} is a directory\n    hint: mox.file.copy_parallel copies directories"
                raise IsADirectoryError(errno.EISDIR, text)
            raise_missing(source)
        else:
            one_file(source, entry, url_of(dst_url))


def copy_parallel(
    src_url: Path,
    dst_url: Path,
    file_list: Iterable[object] | None = None,
    threads: int = 16,
    is_processing: bool = True,
    use_queue: bool = True,
) -> None:
    """``file_list``: only these, relative to the source. ``threads`` 0: one after the other.

    There are threads whatever ``is_processing`` says. Raises MoxFileNotExistsException,
    MoxFileNameDuplicateException, MoxFileRespException; each file is there whole or not at all.
    """
    with translated():
        source, target = url_of(src_url), url_of(dst_url)
        if is_directory(source):
            tree(source, target, file_list, threads)
        elif entry := find_file(source):
            one_file(source, entry, target, threads)
        else:
            log.warning("No files to copy: there is no %s", source)
            raise_missing(source)


def find_file(url: Url) -> Entry | None:
    """The file or object of that very name."""
    if url.is_directory:
        return None
    return auth.open_at(url.parent).head(url.name)


def is_directory(url: Url) -> bool:
    if url.is_local:
        return LocalPath(url.key).is_dir()
    return Remote.of(str(url)).is_directory()


def raise_missing(url: Url) -> None:
    """Raises NotFound or its like: there is no such thing, and what is nearest."""
    if url.is_local:
        auth.open_at(url.parent).open(url.name).close()
    else:
        Remote.of(str(url)).raise_missing()
    raise missing(f"there is no {url}")


def one_file(source: Url, entry: Entry, target: Url, threads: int = 16) -> None:
    """``entry`` is of ``source``'s directory."""
    inside = target.is_directory or (is_directory(target) and not find_file(target))
    target = target.directory.child(source.name) if inside else target
    if is_same(source, target):
        raise shutil.SameFileError(f"{source} would be copied onto itself")
    from_store, into = auth.open_at(source.parent), auth.open_at(target.parent)
    workers = file_io.threads_for_file(entry.size, threads)
    with _task(from_store, into, workers) as (task, watching):
        copy_file(from_store, entry, into, target.name, task, watching)
    log.info("copied %s (%s) to %s", source, format_size(entry.size), target)


def tree(source: Url, target: Url, names: Iterable[object] | None = None, threads: int = 16) -> None:
    """All of a directory, or ``names`` in it."""
    check_apart(source, target)
    store = auth.open_at(source.directory)
    chosen = None if names is None else Chosen(store, relative(source, names))
    report = copy_store(chosen.store if chosen else store, target, threads)
    if chosen and chosen.missing:
        some = ", ".join(chosen.missing[:5]) + (" ..." if len(chosen.missing) > 5 else "")
        raise missing(f"of file_list are not in {source.directory}: {some}", "all others were copied")
    if not report.files:
        log.warning("No files to copy: %s is empty", source)
        if target.is_local:
            LocalPath(target.key).mkdir(parents=True, exist_ok=True)


def copy_store(source: Store, target: Url, threads: int = 16) -> Report:
    """All of ``source``; raises where a file could not be copied, after all the others were."""
    into = auth.open_at(target.directory)
    with _task(source, into, file_io.threads_for_tree(threads)) as (task, watching):
        report = copy_tree(task, watching)
    if not report.complete:
        raise _failure(report, source.url, target)
    log.info("copied %d files (%s) to %s", report.files, format_size(report.bytes), target)
    return report


def task_between(source: Store, target: Store, size: int) -> AbstractContextManager[tuple[Task, Watching]]:
    """For one file of ``size`` bytes; nothing is said of how it goes."""
    return _task(source, target, file_io.threads_for_file(size), quiet=True)


class _Nobody:
    def expect(self, files: int, size: int) -> None:
        pass

    def moved(self, size: int) -> None:
        pass

    def finished(self, key: str) -> None:
        pass


@contextmanager
def _task(source: Store, target: Store, workers: int, quiet: bool = False) -> Iterator[tuple[Task, Watching]]:
    with Leftovers(target, auth.environ()) as leftovers:
        leftovers.abort()
        task = Task(
            source,
            target,
            everything=True,
            workers=workers,
            check=_room(target.url),
            leftovers=leftovers,
            within=_within(source.url, target.url),
        )
        if quiet or file_io.is_silent():
            yield task, _Nobody()
        else:
            with Progress(f"moxing: copying {source.url}") as progress:
                yield task, progress


def _room(target: Url) -> Callable[[int, int], None] | None:
    if not target.is_local:
        return None
    path = LocalPath(target.key)
    return lambda size, files: check_room(path, size, files, room_at(path))


def _within(source: Url, target: Url) -> Store | None:
    """The bucket that both are in: then the server copies."""
    same = (source.scheme, source.bucket) == (target.scheme, target.bucket)
    return auth.open_at(source.root) if same and not source.is_local else None


def is_same(source: Url, target: Url) -> bool:
    return source.is_local == target.is_local and _real(source) == _real(target)


def check_apart(source: Url, target: Url) -> None:
    """Raises BadUrl where one is inside the other: a copy would find what it has just written."""
    if (source.is_local, source.bucket) != (target.is_local, target.bucket):
        return
    one, other = _real(source) + "/", _real(target) + "/"
    if one.startswith(other) or other.startswith(one) or "/" in (one, other):
        raise BadUrl(f"{source} and {target} are inside one another", "copy to a directory beside it")


def _real(url: Url) -> str:
    return os.path.realpath(url.key).rstrip("/") if url.is_local else f"{url.bucket}/{url.key}".rstrip("/")


def _failure(report: Report, source: Url, target: Url) -> OSError:
    if report.stopped:
        return as_moxing(report.stopped)
    lines = [f"{report.failures} of the files in {source} were not copied to {target}:"]
    lines += [f"  {key}: {why}" for key, why in report.failed[:5]]
    text = "\n".join(lines)
    if target.is_local and all(_is_double(LocalPath(target.key), key) for key, _ in report.failed):
        return MoxFileNameDuplicateException(text)
    return MoxFileRespException(Response(500, text))


def _is_double(folder: LocalPath, key: str) -> bool:
    """A directory is where the file is to be, or a file where one of its directories is to be."""
    path = folder / key
    above = [parent for parent in path.parents if parent.is_relative_to(folder)]
    return os.path.isdir(path) or any(map(os.path.isfile, above))  # noqa: PTH112 - false for any error
