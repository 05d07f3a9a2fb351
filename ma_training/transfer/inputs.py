"""Brings what a job reads, and what an earlier run of it has written, before its workers start."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ma_training.storage import (
    BadUrl,
    Entry,
    File,
    Journal,
    Record,
    Report,
    StorageError,
    Store,
    Task,
    Url,
    Watching,
    check_room,
    copy_file,
    copy_tree,
    open_store,
    resolve,
    room_at,
)
from ma_training.storage.stable import hash_beginning
from ma_training.storage.sync import LEASE, Resume, Selected, Turn, is_ours, resume
from ma_training.storage.transfer import are_alike

from .plan import Input, Output
from .tree_upload import upload_journal


def bring_input(
    wanted: Input,
    workers: int,
    say: Callable[[str], None],
    watching: Watching,
    turn: Turn,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Once a directory: whoever else wants it there waits. Raises StorageError where any of it is missing."""
    if not turn.wait():
        say(f"{wanted.url} has been brought to {wanted.directory} by another process")
        return
    with turn:
        directory = Path(wanted.directory)
        url = Url.parse(wanted.url)
        what = resolve(url, Url.parse(f"{directory}/"), True, environ)
        with Journal(turn.folder / "journal.jsonl") as journal:
            task = Task(what.source, what.target, journal, workers=workers, check=_room_check(directory))
            if isinstance(what, File):
                _bring_file(what, task, watching)
            else:
                _check(copy_tree(task, watching), wanted.url, directory)
        turn.check()


def _bring_file(what: File, task: Task, watching: Watching) -> None:
    there = what.target.head(what.key)
    if there is None or not are_alike(what.source, what.target, what.entry, there):
        copy_file(what.source, what.entry, what.target, what.key, task, watching)


def _room_check(directory: Path) -> Callable[[int, int], None]:
    def check(size: int, files: int) -> None:
        check_room(directory, size, files, room_at(directory))

    return check


def _check(report: Report, url: str, directory: Path) -> None:
    if report.stopped:
        raise report.stopped
    if report.failed:
        key, why = report.failed[0]
        more = f", and {report.failures - 1} more" if report.failures > 1 else ""
        hint = f"launcher sync {url} {directory}"
        raise StorageError(f"{url} could not be brought to {directory}: {key}: {why}{more}", hint)


def bring_output(
    output: Output,
    workers: int,
    say: Callable[[str], None],
    watching: Watching,
    turn: Turn,
    left_out: Callable[[str], bool] = lambda key: False,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """What is in storage and not here, or newer there, comes here; the journal learns what is alike."""
    if not turn.wait():
        return
    with turn:
        there, here = open_store(output.url, environ), open_store(output.directory)
        _check_apart(output)
        with Journal(upload_journal(turn, output.url)) as journal:
            back = _Resuming(there, here, journal, left_out)
            source = Selected(there, back.is_wanted)
            task = Task(
                source,
                here,
                everything=True,
                workers=workers,
                check=_room_check(Path(output.directory)),
            )
            report = copy_tree(task, watching)
            _check(report, output.url, Path(output.directory))
            back.note()
        for key in back.kept[:20]:
            say(f"{key} differs here and in {output.url}: the one here is kept, and will be uploaded")
        if report.files:
            say(f"brought {report.files} files from {output.url} to {output.directory}, to go on from")


class _Resuming:
    """Decides about each file in storage, and keeps the journal right."""

    def __init__(self, there: Store, here: Store, journal: Journal, left_out: Callable[[str], bool]) -> None:
        self._there, self._here, self._journal, self._left_out = there, here, journal, left_out
        self._known: set[str] = set()  # keys in storage
        self._fetched: dict[str, Entry] = {}
        self._decided: dict[str, bool] = {}
        self.kept: list[str] = []

    def is_wanted(self, entry: Entry) -> bool:
        if _is_lease(entry.key) or is_ours(entry.key) or self._left_out(entry.key) or entry.is_directory:
            return False
        if entry.key not in self._decided:  # a copy lists twice: to measure, and to copy
            self._decided[entry.key] = self._decide(entry)
        return self._decided[entry.key]

    def _decide(self, entry: Entry) -> bool:
        self._known.add(entry.key)
        local = self._here.head(entry.key)
        what = resume(local, entry, self._journal.records.get(entry.key))
        if what is Resume.FETCH:
            self._fetched[entry.key] = entry
        elif what is Resume.COMPARE and local is not None:
            self._compare(local, entry)
        return what is Resume.FETCH

    def _compare(self, local: Entry, entry: Entry) -> None:
        same = _alike(self._here, self._there, local, entry) if local.size == entry.size else None
        if same:
            self._journal.add(entry.key, same)
        else:
            self._journal.remove(entry.key)
            self.kept.append(entry.key)

    def note(self) -> None:
        """What was fetched is alike now; what storage does not have any more is to be uploaded again."""
        for key, entry in self._fetched.items():
            if local := self._here.head(key):
                self._journal.add(key, Record(local.stamp, entry.stamp))
        for key in set(self._journal.records) - self._known:
            self._journal.remove(key)


def _is_lease(key: str) -> bool:
    return key.rpartition("/")[2].startswith(LEASE)


def _alike(here: Store, there: Store, local: Entry, entry: Entry) -> Record | None:
    if not there.url.is_local:
        return are_alike(here, there, local, entry)
    hashes = {hash_beginning(store, local.key, local.size) for store in (here, there)}
    return Record(local.stamp, entry.stamp) if len(hashes) == 1 else None


def _check_apart(output: Output) -> None:
    url = Url.parse(output.url)
    if not url.is_local:
        return
    one, other = (os.path.realpath(path).rstrip("/") + "/" for path in (url.key, output.directory))
    if one.startswith(other) or other.startswith(one):
        text = f"{output.directory} and {output.url} are inside one another"
        raise BadUrl(text, "name a directory beside it")
