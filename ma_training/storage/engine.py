"""Copies what is under one store's root to another's: carries out a plan (plan.py) with threads.

Each file becomes visible when it is whole (store.py), so a copy that ends anywhere leaves each target whole,
as it was, or to be gone on with. The source is only read. Deleting is asked for, comes last, and does not
happen where anything failed.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from .crew import Crew
from .errors import NoCredentials, NoSpace, Refused, StorageError, Unavailable
from .journal import Journal
from .keys import check_key, check_path
from .leftovers import Leftovers
from .local_errors import explain, told
from .plan import Action, Check, Compare, Copy, Delete, Keep, Record, Refuse, plan
from .report import Report
from .store import Entry, Store
from .transfer import SMALL, are_alike, copy_one

WORKERS = 16
# What ends the whole copy, and after how many files: what follows would fail alike, each after many tries.
FATAL: tuple[tuple[type[StorageError], int], ...] = (
    (NoSpace, 1),
    (NoCredentials, 1),
    (Unavailable, 3),
    (Refused, 10),
)


class Watching(Protocol):
    """Is told how it goes, by any thread."""

    def expect(self, files: int, size: int) -> None: ...

    def moved(self, size: int) -> None: ...

    def finished(self, key: str) -> None: ...


class Nobody:
    def expect(self, files: int, size: int) -> None:
        pass

    def moved(self, size: int) -> None:
        pass

    def finished(self, key: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Task:
    """``journal``: what was copied before, and where that is noted. ``look``: list the target as well.

    ``everything``: copy also what is there already. ``delete``: from the target what the source has not.
    ``check(size, files)`` is told what is to be written before the first byte, and may raise.
    """

    source: Store
    target: Store
    journal: Journal | None = None
    everything: bool = False
    look: bool = True
    delete: bool = False
    workers: int = WORKERS
    check: Callable[[int, int], None] | None = None
    leftovers: Leftovers | None = None
    within: Store | None = None  # the bucket, where both are in one: then the server copies


def copy_file(source: Store, entry: Entry, target: Store, key: str, task: Task, watching: Watching) -> None:
    """Copies one to a name of its own, with the other settings of ``task``. Raises StorageError."""
    if task.check:
        task.check(entry.size, 1)
    watching.expect(1, entry.size)
    crew = Crew(task.workers)
    try:
        with told("copy", source.url.child(entry.key).key):
            copy_one(source, target, entry, key, crew.run, watching.moved, task.leftovers, task.within)
        watching.finished(key)
    except BaseException:
        crew.stop()
        raise
    finally:
        crew.close()


def copy_tree(task: Task, watching: Watching | None = None) -> Report:
    """A file that fails is named by the report. Raises StorageError where nothing can be listed."""
    return _Copying(task, watching or Nobody()).run()


def planned(task: Task) -> Iterable[Action]:
    """What ``copy_tree`` would do now."""
    targets = task.target.list() if task.look and not task.everything else None
    records = task.journal.records if task.journal and not task.everything else {}
    folders = task.target.url.is_local
    return plan(task.source.list(), targets, records, _check(task.target), task.delete, folders)


def _check(target: Store) -> Check:
    if target.url.is_local:
        return check_path
    prefix = target.url.key
    return lambda key: check_key(prefix + key)


class _Copying:
    def __init__(self, task: Task, watching: Watching) -> None:
        self._task, self._watching = task, watching
        self._report = Report()
        self._crew = Crew(task.workers)
        self._fatal: dict[type[StorageError], int] = {}
        self._lock = threading.Lock()
        self._deletions: list[Entry] = []
        self._seen = False  # anything in the source

    def run(self) -> Report:
        started = time.monotonic()
        try:
            self._measure()
            self._carry_out()
        except BaseException:
            self._crew.stop()
            raise
        finally:
            self._crew.close()
            self._report.seconds = time.monotonic() - started
        if self._report.complete:
            self._delete()
        return self._report

    def _measure(self) -> None:
        if self._task.check is None:
            return
        files = size = 0
        for action in planned(self._task):
            if isinstance(action, Copy | Compare):
                files, size = files + 1, size + action.entry.size
        self._task.check(size, files)
        self._watching.expect(files, size)

    def _carry_out(self) -> None:
        for action in planned(self._task):
            if self._report.stopped:
                return
            self._seen = self._seen or not isinstance(action, Delete)
            if isinstance(action, Keep):
                self._report.count(kept=1)
            elif isinstance(action, Refuse):
                self._report.fail(action.key, action.why)
            elif isinstance(action, Delete):
                self._deletions.append(action.entry)
            else:
                self._begin(action)

    def _begin(self, action: Copy | Compare) -> None:
        if action.entry.size <= SMALL:
            self._crew.small(lambda: self._safely(action), action.entry.size)
        else:
            self._crew.large(lambda: self._safely(action))

    def _safely(self, action: Copy | Compare) -> None:
        key = action.entry.key
        try:
            if not self._report.stopped:
                self._do(action)
        except InterruptedError:
            pass  # by another's failure, or the user
        except StorageError as error:
            self._failed(key, error)
        except OSError as error:
            self._failed(key, explain(error, "copy", key))
        except Exception as error:  # noqa: BLE001 - one file's trouble must not end the others' copies unseen
            self._failed(key, StorageError(f"cannot copy {key}: {type(error).__name__}: {error}"))
        finally:
            self._watching.finished(key)

    def _do(self, action: Copy | Compare) -> None:
        source, target, entry = self._task.source, self._task.target, action.entry
        if isinstance(action, Compare) and (record := are_alike(source, target, entry, action.target)):
            self._report.count(kept=1)
            self._note(entry.key, record)
            return
        run, notes, within = self._crew.run, self._task.leftovers, self._task.within
        record = copy_one(source, target, entry, entry.key, run, self._moved, notes, within)
        self._report.count(files=1)
        self._note(entry.key, record)

    def _moved(self, size: int) -> None:
        self._report.count(bytes=size)
        self._watching.moved(size)

    def _note(self, key: str, record: Record) -> None:
        if self._task.journal:
            self._task.journal.add(key, record)

    def _failed(self, key: str, error: StorageError) -> None:
        self._report.fail(key, error)
        with self._lock:
            for kind, most in FATAL:
                if isinstance(error, kind):
                    self._fatal[kind] = self._fatal.get(kind, 0) + 1
                    if self._fatal[kind] >= most:
                        self._report.stopped = self._report.stopped or error
                        self._crew.stop()

    def _delete(self) -> None:
        if self._deletions and not self._seen:
            # Far more often a disk that is not mounted than a wish.
            why = f"nothing is deleted from {self._task.target.url}: {self._task.source.url} is empty"
            raise StorageError(why, "delete it by hand if that is what you want")
        for entry in reversed(self._deletions):  # what is in a directory before the directory
            try:
                self._task.target.delete(entry.key)
            except StorageError as error:
                self._report.fail(entry.key, error)
            else:
                self._report.count(deleted=1)
                if self._task.journal:
                    self._task.journal.remove(entry.key)
