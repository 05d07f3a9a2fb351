"""What is to be done to make a target hold what a source holds: pure, from two listings and a journal.

Both listings come in the order of keys, so that none is ever held in memory. What has changed is told by
the journal, or by reading: never by which of two is newer.

    not in the target                                    Copy
    journal: both are as they were after the last copy   Keep
    sizes differ                                         Copy
    else                                                 Compare: by hashes; Copy if they differ
    in the target alone                                  Delete, if that was asked for
    cannot be stored there under its name                Refuse
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .errors import BadKey, StorageError
from .keys import as_bytes
from .store import Entry


class Record(NamedTuple):
    """What the journal knows of a key: the stamps of both after they were made alike."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Copy:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Compare:
    entry: Entry
    target: Entry


@dataclass(frozen=True, slots=True)
class Keep:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Delete:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Refuse:
    key: str
    why: StorageError


Action = Copy | Compare | Keep | Delete | Refuse
Check = Callable[[str], object]  # raises BadKey


def plan(
    sources: Iterable[Entry],
    targets: Iterable[Entry] | None,
    journal: Mapping[str, Record],
    check: Check,
    delete: bool = False,
    folders: bool = False,
) -> Iterator[Action]:
    """``targets`` None: the target is not looked at; what the journal does not have is copied.

    ``folders``: the target is a file system, where ``a`` and ``a/b`` cannot both be files.
    """
    above: list[str] = []  # files whose names the next keys may go on from
    for source, target in _pairs(_ascending(sources), None if targets is None else _ascending(targets)):
        if source is None:
            if delete and target is not None:
                yield Delete(target)
            continue
        if refusal := _refusal(source, check, above if folders else []):
            yield refusal
            continue
        if folders and not source.is_directory:
            above.append(source.key)
        yield _decide(source, target, journal.get(source.key), targets is not None)


def _decide(source: Entry, target: Entry | None, record: Record | None, looked: bool) -> Action:
    known = record is not None and record.source == source.stamp
    if not looked:
        return Keep(source) if known else Copy(source)
    if target is None:
        return Copy(source)
    if source.is_directory or (known and record is not None and record.target == target.stamp):
        return Keep(source)
    return Compare(source, target) if source.size == target.size else Copy(source)


def _refusal(source: Entry, check: Check, above: list[str]) -> Refuse | None:
    if source.is_directory and source.size:
        return Refuse(source.key, BadKey(f"{source.key!r} is a directory by its name, and holds bytes"))
    try:
        check(source.key)
    except BadKey as error:
        return Refuse(source.key, error)
    above[:] = [name for name in above if as_bytes(source.key) < as_bytes(name + "0")]  # "0" follows "/"
    for name in above:
        if source.key.startswith(name + "/"):
            why = f"{source.key!r} needs a directory where the file {name!r} is"
            return Refuse(source.key, BadKey(why, "rename one of them: a file system cannot hold both"))
    return None


def _pairs(
    sources: Iterator[Entry], targets: Iterator[Entry] | None
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Those of one key together."""
    if targets is None:
        yield from ((source, None) for source in sources)
        return
    source, target = next(sources, None), next(targets, None)
    while source or target:
        if target is None or (source and as_bytes(source.key) < as_bytes(target.key)):
            yield source, None
            source = next(sources, None)
        elif source is None or as_bytes(target.key) < as_bytes(source.key):
            yield None, target
            target = next(targets, None)
        else:
            yield source, target
            source, target = next(sources, None), next(targets, None)


def _ascending(entries: Iterable[Entry]) -> Iterator[Entry]:
    last = b""
    for entry in entries:
        key = as_bytes(entry.key)
        if key <= last:
            raise StorageError(f"the listing is not in order: {entry.key!r} comes after {last!r}")
        last = key
        yield entry
