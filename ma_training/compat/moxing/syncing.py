"""``background_sync_copy``: a thread that copies what has changed in a directory, again and again.

It outlives the main thread for one last round, so that what a script wrote at its end is not lost. That is
why it copies by itself, one file after the other: at that time Python starts no thread pools any more.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from ma_training.storage import (
    Compare,
    Copy,
    Entry,
    Leftovers,
    Record,
    Refuse,
    StorageError,
    Store,
    check_key,
    plan,
)
from ma_training.storage.transfer import are_alike, copy_one

from . import auth, copying
from .exceptions import translated
from .location import Path, url_of

log = logging.getLogger("moxing")
LOOK = 0.2  # seconds between looks at whether the main thread has ended


class BackgroundSync:
    """``rounds`` that were gone through; ``last_error`` of the last one, or None."""

    def __init__(self, source: Path, target: Path, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds is {seconds!r}, and not above zero")
        with translated():
            self._source, self._target = url_of(source), url_of(target)
            copying.check_apart(self._source, self._target)
            auth.open_at(self._target.directory)  # to say now that there are no credentials
        self._seconds = seconds
        self._records: dict[str, Record] = {}
        self._ended = threading.Event()
        self.rounds = 0
        self.last_error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="moxing-sync", daemon=False)
        self._thread.start()

    def stop(self) -> None:
        """After one last round."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._wait():
            self._round()
        self._round()

    def _wait(self) -> bool:
        """Until the next round; true: it is the last."""
        until = time.monotonic() + self._seconds
        while (left := until - time.monotonic()) > 0:
            if self._ended.wait(min(left, LOOK)) or not threading.main_thread().is_alive():
                return True
        return False

    def _round(self) -> None:
        """An error ends a round, not the training: the next one tries again."""
        try:
            self._copy_changes()
            self.last_error = None
        except (StorageError, OSError) as error:
            self.last_error = error
            log.warning("not synchronised to %s, tried again in %g s: %s", self._target, self._seconds, error)
        self.rounds += 1

    def _copy_changes(self) -> None:
        source, target = auth.open_at(self._source.directory), auth.open_at(self._target.directory)
        known = None if self._records else target.list()
        prefix = target.url.key
        check: Callable[[str], object] = lambda key: check_key(prefix + key)  # noqa: E731
        failed: list[tuple[str, StorageError]] = []
        with Leftovers(target, auth.environ()) as leftovers:
            for action in list(plan(source.list(), known, self._records, check)):
                if isinstance(action, Refuse):
                    failed.append((action.key, action.why))
                elif isinstance(action, Copy | Compare):
                    self._copy(source, target, action, leftovers, failed)
        if failed:
            key, error = failed[0]
            raise StorageError(f"{len(failed)} files, the first is {key}: {error}")

    def _copy(
        self,
        source: Store,
        target: Store,
        action: Copy | Compare,
        leftovers: Leftovers,
        failed: list[tuple[str, StorageError]],
    ) -> None:
        key = action.entry.key
        try:
            record = _alike(source, target, action) or _copied(source, target, action.entry, leftovers)
            self._records[key] = record
        except StorageError as error:
            failed.append((key, error))


def _alike(source: Store, target: Store, action: Copy | Compare) -> Record | None:
    return are_alike(source, target, action.entry, action.target) if isinstance(action, Compare) else None


def _copied(source: Store, target: Store, entry: Entry, leftovers: Leftovers) -> Record:
    return copy_one(source, target, entry, entry.key, _in_turn, lambda size: None, leftovers)


def _in_turn(works: Sequence[Callable[[], None]], size: int) -> None:
    for work in works:
        work()


def background_sync_copy(src_url: Path, dst_url: Path, seconds: float = 120) -> BackgroundSync:
    """Begins to copy what has changed every ``seconds``, until ``stop()`` or the end of the main thread."""
    return BackgroundSync(src_url, dst_url, seconds)
