"""``launcher cp``: a file or a directory, from or to object storage, as ``ma-cli obs-copy`` copies."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ma_training.storage import (
    CODE_LIMITS,
    File,
    Leftovers,
    Progress,
    Report,
    Task,
    Tree,
    Url,
    check_limits,
    copy_file,
    copy_tree,
    is_archive,
    open_store,
    resolve,
    unpack,
)

from .errors import UsageError
from .storage_words import Words, guarded, parse, room_check, tell, two_places

USAGE = """\
usage: launcher cp SRC DST [options]

  SRC, DST              obs://bucket/key, s3://bucket/key, file:///path or a path

  -d, --drop-last-dir   what is in the directory SRC comes to be in DST; without it, in
                        DST/<last directory of SRC>, with a slash after SRC or not
  -r, --recursive       accepted; a directory is always copied with all that is in it
  --workers N           files, or parts of large ones, at a time (default: 16)
  --code-limits NAME    refuse a directory above 5G (5 GiB, 1000 files, 32 deep) or 128M
                        (128 MiB, 4096 files)
  --unpack              SRC is a tar or zip file, and DST the directory to be made of it
  --json                a line of JSON when it is over
  -P, --profile NAME    of ma-cli's file with credentials (default: DEFAULT)
  -C, --config-file F   ma-cli's file (default: ~/.modelarts/ma-cli-profile.yaml)

What is there already under the same name is written over, once the new one is whole;
nothing is deleted. Exit code 1 where a file could not be copied: run it again.
"""
_ALONE = ("-d:--drop-last-dir", "-r:--recursive", "--json", "--unpack")
_VALUED = ("--workers", "--code-limits", "-P:--profile", "-C:--config-file")


def main(words: Sequence[str]) -> int:
    if not words or set(words) & {"-h", "-H", "--help"}:
        sys.stdout.write(USAGE)
        return 0 if words else 64
    return guarded("cp", lambda: _cp(parse("cp", words, _ALONE, _VALUED)))


def _cp(words: Words) -> int:
    source, target = two_places("cp", words)
    if "--unpack" in words.flags:
        return _unpack(source, target, words)
    report = _copy(source, target, words)
    return tell(report, source, target, "--json" in words.flags)


def _copy(source: Url, target: Url, words: Words) -> Report:
    environ, skipped = words.environ(), list[tuple[str, str]]()
    workers = words.number("--workers", 16)
    what = resolve(source, target, "--drop-last-dir" in words.flags, environ)
    if source.is_local and isinstance(what, Tree):
        watched = open_store(source.directory, environ, skipped=lambda *pair: skipped.append(pair))
        what = replace(what, source=watched)
    if name := words.flags.get("--code-limits"):
        _check_limits(name, what)
    with Leftovers(what.target, environ) as leftovers, Progress(f"copying {source}") as progress:
        leftovers.abort()
        task = Task(
            what.source,
            what.target,
            everything=True,
            workers=workers,
            check=room_check(target),
            leftovers=leftovers,
            within=what.within,
        )
        report = copy_tree(task, progress) if isinstance(what, Tree) else _copy_file(what, task, progress)
    report.skipped += list(dict.fromkeys(skipped))[:20]
    return report


def _copy_file(what: File, task: Task, progress: Progress) -> Report:
    started = time.monotonic()
    copy_file(what.source, what.entry, what.target, what.key, task, progress)
    return Report(files=1, bytes=what.entry.size, seconds=time.monotonic() - started)


def _check_limits(name: str, what: File | Tree) -> None:
    limits = CODE_LIMITS.get(name.upper())
    if limits is None:
        raise UsageError(f"--code-limits {name!r} is not known", f"one of {', '.join(CODE_LIMITS)}")
    entries = what.source.list() if isinstance(what, Tree) else iter([what.entry])
    check_limits(str(what.source.url), entries, limits)


def _unpack(source: Url, target: Url, words: Words) -> int:
    """Fetches the archive beside the directory that is to be made of it, and removes it afterwards."""
    if not is_archive(source.name) or not target.is_local:
        raise UsageError("--unpack takes a tar or zip file, and a directory here", "see launcher cp --help")
    folder = Path(target.key.rstrip("/"))
    if source.is_local:
        report = Report()
        archive = Path(source.key)
    else:
        archive = folder.with_name(f"{folder.name}-{source.name}")
        report = _copy(source, Url.parse(archive), words)
    try:
        report.files = unpack(archive, folder)
    finally:
        if not source.is_local:
            archive.unlink(missing_ok=True)
    return tell(report, source, target, "--json" in words.flags)
