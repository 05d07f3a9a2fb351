"""A directory whose files go to storage as they change: an output, or logs."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ma_training.storage import (
    Entry,
    Journal,
    Leftovers,
    Report,
    StorageError,
    Store,
    Task,
    copy_tree,
    open_store,
)
from ma_training.storage.sync import Rule, Selected, Turn, Watch, is_ours

from .gate import Gate

POLL = 0.2  # seconds between looks at another node's turn


class TreeUpload:
    """``left_out(key)``: what something else takes care of. One process uploads from a directory; where
    several nodes share it, that is the one who has the turn."""

    def __init__(
        self,
        directory: Path,
        url: str,
        rule: Rule,
        workers: int,
        gate: Gate,
        environ: Mapping[str, str] = os.environ,
        left_out: Callable[[str], bool] = lambda key: False,
        turn: Turn | None = None,
    ) -> None:
        self.directory, self.url = directory, url
        self._workers, self._gate, self._environ, self._left_out = workers, gate, environ, left_out
        self._watch = Watch(rule)
        self._own_turn = turn
        self._journal: Journal | None = None
        self._leftovers: Leftovers | None = None
        self._target: Store | None = None
        self._begun: dict[str, str] = {}  # stamps of what this round uploads
        self._left: Sequence[str] = ()
        self.lost = ""  # why nothing more is to be written there

    @property
    def turn(self) -> Turn:
        """The directory is there."""
        if self._own_turn is None:
            self._own_turn = Turn(self.directory, lambda text: None, uploads=True)
        return self._own_turn

    @property
    def command(self) -> str:
        """To do by hand what is left."""
        return f"launcher sync {self.directory} {self.url}"

    def round(self, final: bool = False, gate: Gate | None = None) -> str:
        """Uploads what is due, in the end all that has changed. Returns why that failed, or ''.

        Raises InterruptedError where the gate was closed meanwhile."""
        self._gate = gate or self._gate
        if self.lost or not self.directory.is_dir():
            return self.lost
        try:
            if not take(self.turn, final, self._gate):
                return ""  # another node's
            return self._why(copy_tree(self._task(final), self._gate))
        except StorageError as error:
            return str(error)
        finally:
            if final and self.turn.is_ours:
                self._left = self.left()
                self._release()

    def _task(self, final: bool) -> Task:
        self._target = self._target or open_store(self.url, self._environ)
        if self._journal is None:
            self._journal = Journal(upload_journal(self.turn, self.url))
        if self._leftovers is None:
            self._leftovers = Leftovers(self._target, self._environ)
            self._leftovers.abort()
        self._begun.clear()
        source = Selected(self._source(), lambda entry: self._is_due(entry, final), self._gate.check)
        return Task(
            source,
            self._target,
            self._journal,
            look=False,
            workers=self._workers,
            leftovers=self._leftovers,
        )

    def _source(self) -> Store:
        return open_store(self.directory)

    def _is_due(self, entry: Entry, final: bool) -> bool:
        if is_ours(entry.key) or self._left_out(entry.key):
            return False
        known = self._known(entry.key)
        due = known != entry.stamp if final else self._is_quiet(entry, known)
        if due:
            self._begun[entry.key] = entry.stamp
        return due

    def _is_quiet(self, entry: Entry, known: str | None) -> bool:
        return self._watch.is_due(entry, known, time.monotonic(), time.time())

    def _known(self, key: str) -> str | None:
        record = self._journal.records.get(key) if self._journal else None
        return record.source if record else None

    def _why(self, report: Report) -> str:
        """In words. What has changed again, or is gone, is no trouble."""
        if report.stopped:
            return str(report.stopped)
        source = self._source()
        for key, why in report.failed:
            entry = source.head(key)
            if entry is not None and entry.stamp == self._begun.get(key):
                return f"{key}: {why}"
        return ""

    def left(self) -> Sequence[str]:
        """Paths of what is here and not there: now, or when it was another node's turn."""
        if not self.directory.is_dir() or not self.turn.is_ours:
            return self._left
        found = (entry for entry in self._source().list() if not self._left_out(entry.key))
        return [
            str(self.directory / entry.key)
            for entry in found
            if not is_ours(entry.key) and not entry.is_directory and self._known(entry.key) != entry.stamp
        ]

    def _release(self) -> None:
        """For other nodes that share the directory: each uploads what it finds in the end."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self.turn.release(done=False)

    def close(self) -> None:
        if self._own_turn is not None and self._own_turn.is_ours:
            self._release()
        if self._leftovers is not None:
            self._leftovers.close()


def take(turn: Turn, final: bool, gate: Gate) -> bool:
    """Whether it is ours. In the end it is waited for: another node may have looked before we wrote."""
    while not turn.take():
        if not final:
            return False
        gate.check()
        time.sleep(POLL)
    return True


def upload_journal(turn: Turn, url: str) -> Path:
    """Where it is noted what was uploaded to ``url``; nodes that share a directory share this as well."""
    name = hashlib.sha256(url.rstrip("/").encode(errors="surrogateescape")).hexdigest()[:16]
    return turn.folder / f"uploaded-{name}.jsonl"
