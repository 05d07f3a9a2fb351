"""A node's keeper: gives workers a place for their snapshots, and saves the newest when they are gone.

open ─▶ for each attempt: environ ─▶ workers commit ─▶ (request ─▶ save) ─▶ they fail ─▶ save
     ─▶ finish: succeeded, nothing is left in memory; else what could be saved is on disk
"""

import json
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ma_training.events import EventLog
from ma_training.job import format_duration, format_size
from ma_training.snapshot.directory import JobDirectory, default_root, sweep
from ma_training.snapshot.errors import SnapshotError

from . import environment as names
from .plan import KEEP, StatePlan, key_of

if TYPE_CHECKING:
    from .saving import Saving

AGENTS = 16  # of one job on one machine, as in tests
SWEEP_AGE = 24 * 3600.0  # seconds after which a dead job's snapshots are no one's any more
TOUCH_EVERY = 60.0  # seconds
SAID_AFTER = 1.0  # seconds that the end waits for a checkpoint without a word


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint that this run has made."""

    step: int
    path: str
    kind: str  # of its cause


class Keeper:
    def __init__(self, plan: StatePlan, job: str, events: EventLog, say: Callable[[str], None]) -> None:
        self._plan, self._job, self._events, self._say = plan, job, events, say
        self._directory: JobDirectory | None = None
        self._saving: Saving | None = None
        self._queue: deque[Saving] = deque()
        self._last_step = -1  # no older state is written
        self._touched = time.monotonic()
        self.saved: list[Saved] = []

    @property
    def pids(self) -> list[int]:
        return [self._saving.pid] if self._saving else []

    # --- for attempts ---

    def open(self) -> None:
        """Takes over what a killed agent of the same job has left, or makes a place for it."""
        if self._plan.mode == "off":
            return
        root, faults = default_root(), []
        for number in range(AGENTS):
            directory = JobDirectory(root, key_of(self._plan.identity, number))
            try:
                directory.acquire(self._job)
                self._directory = directory
                sweep(root, age=SWEEP_AGE, now=time.time(), keep=[directory.path.name])
                return
            except SnapshotError as error:
                faults.append(str(error))
                if "living agent" not in faults[-1]:
                    break
        self._say(f"no snapshots in memory: {faults[-1]}")

    def environ(self, ranks: Sequence[int]) -> dict[str, str]:
        """For the workers of an attempt."""
        found = {
            names.MODE: self._plan.mode if self._directory else "off",
            names.CHECKPOINTS: str(self._plan.checkpoints),
            names.IDENTITY: self._plan.identity,
        }
        if self._directory is not None:
            found[names.SNAPSHOTS] = str(self._directory.path)
            found[names.DISK] = str(self._disk)
            if (step := self._newest(ranks)) is not None:
                found[names.RESUME_STEP] = str(step)
        return found

    @property
    def _disk(self) -> Path:
        """For segments that memory has no room for; made by who needs it."""
        return self._plan.checkpoints / ".snapshots"

    @property
    def _places(self) -> list[Path]:
        return [self._directory.path, self._disk] if self._directory else []

    def _any(self) -> bool:
        """Some worker has kept a state."""
        directory = self._directory
        return directory is not None and (bool(directory.ranks()) or self._disk.exists())

    def _newest(self, ranks: Sequence[int]) -> int | None:
        if not self._any():
            return None
        from .stock import Stock  # its imports take 15 ms, which a job without snapshots is spared

        with Stock(self._places, ranks) as stock:
            for fault in stock.faults:
                self._say(f"a snapshot is not used: {fault}")
            return stock.newest()

    # --- checkpoints ---

    def save(self, ranks: Sequence[int], world_size: int, kind: str, text: str, keep: int = KEEP) -> None:
        """Writes the newest state that all of ``ranks`` have, in the background, one after the other."""
        if not self._any():
            return
        from .saving import Saving  # as above
        from .stock import Stock

        stock = Stock(self._places, ranks)
        pinned = stock.pin_newest()  # now: the next attempt may be faster than the saver
        if pinned is None or pinned[0] <= self._last_step:
            for state in pinned[1] if pinned else ():
                state.unpin()
            return stock.close()
        self._last_step = pinned[0]
        order = {
            "path": sys.path,
            "snapshots": [str(place) for place in self._places],
            "checkpoints": str(self._plan.checkpoints),
            "ranks": list(ranks),
            "step": pinned[0],
            "job": self._job,
            "identity": self._plan.identity,
            "world_size": world_size,
            "kind": kind,
            "text": text[:500],
            "keep": keep,
        }
        self._queue.append(Saving(order, kind, stock, pinned[1]))
        self._start_next()
        return None

    def _start_next(self) -> None:
        if self._saving is None and self._queue:
            saving = self._queue.popleft()
            try:
                saving.start()
            except OSError as error:  # no process, or no memory, for it
                saving.release()
                self._say(f"no checkpoint was written: {error.strerror or error}")
                return
            self._saving = saving

    def poll(self, ranks: Sequence[int], world_size: int) -> None:
        """Now and then: what a script asks for, and what has been written."""
        if self._saving is not None and self._saving.ended:
            self._take(self._saving)
        if self._directory is None:
            return
        if time.monotonic() - self._touched >= TOUCH_EVERY:
            self._touched = time.monotonic()
            self._directory.touch()
        if self._saving is None and (request := _request_in(self._directory.path)):
            keep = request.keep
            request.path.unlink(missing_ok=True)
            self.save(ranks, world_size, request.kind, "the script asked for it", keep)

    def wait(self, timeout: float) -> None:
        """For what is being written, and what is to be written after it. ``timeout``: seconds."""
        deadline = time.monotonic() + timeout
        while (saving := self._saving) is not None:
            if not saving.wait(min(SAID_AFTER, timeout)):
                self._say(f"writing a checkpoint under {self._shown(self._plan.checkpoints)}")
                if not saving.wait(max(0.0, deadline - time.monotonic())):
                    saving.kill()
                    self._say(f"the checkpoint was not written within {format_duration(timeout)}: given up")
            self._take(saving)

    def _take(self, saving: "Saving") -> None:
        self._saving = None
        outcome = saving.outcome()
        self._report(saving, outcome)
        self._start_next()

    def _report(self, saving: "Saving", outcome: dict[str, Any]) -> None:
        if outcome["step"] is None:
            self._say(f"no checkpoint was written: {outcome['error']}")
            self._events.emit("checkpoint.failed", error=outcome["error"], cause=saving.kind)
            return
        step, path = int(outcome["step"]), str(outcome["path"])
        self.saved.append(Saved(step, path, saving.kind))
        seconds, size = round(float(outcome["seconds"]), 3), int(outcome["bytes"])
        self._events.emit(
            "checkpoint.saved", step=step, path=path, cause=saving.kind, seconds=seconds, bytes=size
        )
        where = f"{self._shown(Path(path))} ({format_size(size)} in {format_duration(seconds)})"
        self._say(f"step {step} is saved in {where}")

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)

    # --- the end ---

    def finish(self, succeeded: bool, timeout: float) -> Saved | None:
        """The newest checkpoint of this run. ``timeout``: seconds for one that is being written."""
        self.wait(timeout)
        if self._directory is None:
            return self.saved[-1] if self.saved else None
        if succeeded:
            self._remove_superseded()
        if succeeded or self.saved or not self._any():
            self._directory.remove()
            shutil.rmtree(self._disk, ignore_errors=True)
        else:
            self._directory.release()
            self._say(
                f"the newest state is in memory only ({self._directory.path}), for a day: start the job again"
            )
        return self.saved[-1] if self.saved else None

    def _remove_superseded(self) -> None:
        """Exception checkpoints of a run that ended well: the same command begins anew."""
        asked = ("periodic", "final")
        for saved in [saved for saved in self.saved if saved.kind not in asked]:
            from ma_training.checkpoint import CheckpointError, remove

            try:
                remove(Path(saved.path))
            except CheckpointError as error:
                self._say(str(error))
            self.saved.remove(saved)


@dataclass(frozen=True, slots=True)
class _Request:
    path: Path
    kind: str
    keep: int


def _request_in(directory: Path) -> _Request | None:
    """The newest; older ones are withdrawn."""
    found = [name for name in os.listdir(directory) if name.startswith(names.REQUEST)]
    steps = sorted(int(name[len(names.REQUEST) :]) for name in found if name[len(names.REQUEST) :].isdigit())
    for step in steps[:-1]:
        (directory / f"{names.REQUEST}{step}").unlink(missing_ok=True)
    if not steps:
        return None
    path = directory / f"{names.REQUEST}{steps[-1]}"
    try:
        record = json.loads(path.read_text() or "{}")
        return _Request(path, str(record.get("kind", "periodic")), max(1, int(record.get("keep", KEEP))))
    except (OSError, ValueError, AttributeError, TypeError):
        return _Request(path, "periodic", KEEP)
