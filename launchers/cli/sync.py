"""``launcher sync``: makes a directory, here or in object storage, hold what another one holds."""

import os
import sys
from collections.abc import Sequence

from ma_training.storage import (
    Compare,
    Copy,
    Delete,
    Journal,
    Leftovers,
    Progress,
    Refuse,
    Task,
    Tree,
    copy_tree,
    journal_path,
    open_store,
    planned,
    resolve,
)

from .errors import UsageError
from .storage_words import Words, guarded, parse, print_json, room_check, tell, two_places

USAGE = """\
usage: launcher sync SRC DST [options]

  SRC, DST              directories: obs://bucket/key, s3://bucket/key or a path

  --delete              delete from DST what SRC has not; never from SRC, and not where
                        anything could not be copied
  --dry-run             say what would be done
  --workers N           files, or parts of large ones, at a time (default: 16)
  --json                a line of JSON when it is over (or for each, with --dry-run)
  -P, --profile NAME    of ma-cli's file with credentials (default: DEFAULT)
  -C, --config-file F   ma-cli's file (default: ~/.modelarts/ma-cli-profile.yaml)

What is in SRC comes to be in DST. Copied is what is not there, has another size, or has
changed since the last sync from here; where that is not known, contents are compared.
Which of two files is the newer one is never asked. Exit code 1: run it again.
"""
_ALONE = ("--delete", "--dry-run", "--dryrun:--dry-run", "--json")
_VALUED = ("--workers", "-P:--profile", "-C:--config-file")


def main(words: Sequence[str]) -> int:
    if not words or set(words) & {"-h", "-H", "--help"}:
        sys.stdout.write(USAGE)
        return 0 if words else 64
    return guarded("sync", lambda: _sync(parse("sync", words, _ALONE, _VALUED)))


def _sync(words: Words) -> int:
    source, target = two_places("sync", words)
    environ, as_json = words.environ(), "--json" in words.flags
    workers = words.number("--workers", 16)
    what = resolve(source.directory, target, True, environ)
    if not isinstance(what, Tree):
        raise UsageError(f"launcher sync takes directories, and {source} is a file", "use launcher cp")
    path = journal_path(_real(source), _real(target), environ)
    skipped: list[tuple[str, str]] = []
    watched = open_store(source.directory, environ, skipped=lambda *pair: skipped.append(pair))
    with Journal(path) as journal, Leftovers(what.target, environ) as leftovers:
        task = Task(
            watched,
            what.target,
            journal=journal,
            delete="--delete" in words.flags,
            workers=workers,
            check=room_check(target),
            leftovers=leftovers,
            within=what.within,
        )
        if "--dry-run" in words.flags:
            return _say(task, as_json)
        leftovers.abort()
        with Progress(f"syncing {source}") as progress:
            report = copy_tree(task, progress)
    report.skipped += list(dict.fromkeys(skipped))[:20]
    return tell(report, source, target, as_json)


def _real(url: object) -> str:
    """One name for a place, however it is written."""
    text = str(url).rstrip("/")
    return text if "://" in text else os.path.realpath(text)


def _say(task: Task, as_json: bool) -> int:
    names = {Copy: "copy", Compare: "compare", Delete: "delete", Refuse: "refuse"}
    for action in planned(task):
        if name := names.get(type(action)):
            key = action.key if isinstance(action, Refuse) else action.entry.key
            if as_json:
                print_json({"action": name, "key": key})
            else:
                sys.stdout.write(f"{name:8}{key}\n")
    return 0
