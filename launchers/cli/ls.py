"""``launcher ls``: what is in a bucket or a directory."""

import sys
from collections.abc import Sequence
from datetime import datetime

from ma_training.job import format_size
from ma_training.storage import Entry, Url, open_store
from ma_training.storage.places import find_file, has_any, missing

from .errors import UsageError
from .storage_words import Words, guarded, parse, print_json

USAGE = """\
usage: launcher ls URL [-r] [--json]

  URL                   obs://bucket/key, s3://bucket/key or a path
  -r, --recursive       with all that is in its directories
  --json                a line of JSON each: url, bytes, mtime (of objects), directory
"""
_ALONE = ("-r:--recursive", "--json")
_VALUED = ("-P:--profile", "-C:--config-file")


def main(words: Sequence[str]) -> int:
    if not words or set(words) & {"-h", "-H", "--help"}:
        sys.stdout.write(USAGE)
        return 0 if words else 64
    return guarded("ls", lambda: _ls(parse("ls", words, _ALONE, _VALUED)))


def _ls(words: Words) -> int:
    if len(words.places) != 1:
        raise UsageError("launcher ls takes one URL", "see launcher ls --help")
    url, environ = Url.parse(words.places[0]), words.environ()
    as_json = "--json" in words.flags
    if entry := find_file(url, environ):
        _print(url.parent, entry, as_json)
        return 0
    store = open_store(url, environ)
    if not has_any(store):
        raise missing(url, environ)
    if "--recursive" in words.flags:
        for found in store.list():
            _print(store.url, found, as_json)
        return 0
    directories, entries = store.list_directory()
    for name in directories:
        _print(store.url, Entry(name, 0, 0), as_json)
    for found in entries:
        _print(store.url, found, as_json)
    return 0


def _print(folder: Url, entry: Entry, as_json: bool) -> None:
    time = datetime.fromtimestamp(entry.mtime_ns / 1e9).astimezone()
    if as_json:
        record = {"url": str(folder.child(entry.key)), "directory": entry.is_directory}
        if not entry.is_directory:
            record |= {"bytes": entry.size, "mtime": time.isoformat(timespec="seconds")}
        print_json(record)
    elif entry.is_directory:
        sys.stdout.write(f"{'':>10}  {'':19}  {_shown(entry.key)}\n")
    else:
        sys.stdout.write(f"{format_size(entry.size):>10}  {time:%Y-%m-%d %H:%M:%S}  {_shown(entry.key)}\n")


def _shown(key: str) -> str:
    """Keys may hold anything, also what moves a terminal's cursor."""
    return key if key.isprintable() else ascii(key)
