"""The state of a training script: kept after each step, and gone on from after whatever ended it."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ma_training.checkpoint import Cause, read_entry, verify
from ma_training.checkpoint.errors import CheckpointError
from ma_training.data import ResumableBatchSampler
from ma_training.keeper.environment import REQUEST

from . import drill, generators
from .alone import Endings
from .components import ObjectComponent, component
from .finding import Finding, find
from .flat import Flat
from .group import group
from .homes import Home, home
from .memory import Memory
from .no_collection import no_collection
from .recall import Source, from_disk
from .restoring import Restored, put_back, put_back_generators, put_back_some
from .saving import Saver
from .speech import say, say_here, shown
from .surroundings import Surroundings, look_around

WORKER = "_launcher_worker"  # what the launcher's watchdog is told through; only in a worker of its


class TrainingState:
    """Everything that training needs to go on as if nothing had happened, random numbers included.

    >>> counts = {"seen": 0}
    >>> state = TrainingState(counts=counts)
    >>> state.step, state.epoch
    (0, 0)
    """

    def __init__(
        self,
        *,
        every: int = 1,
        checkpoint_every: int | None = None,
        keep: int = 3,
        name: str | None = None,
        directory: str | Path | None = None,
        **components: Any,
    ) -> None:
        """Parts: modules, optimizers, what has state_dict() and load_state_dict(), dicts and lists; None is
        left out. ``every`` and ``checkpoint_every`` count commits, ``keep`` checkpoints. ``name``, by default
        the script's path, is what a later run must have in common with this one; ``directory`` is where
        checkpoints go without a launcher. Raises StateError for a part whose state cannot be known.
        """
        if every < 1 or keep < 1 or (checkpoint_every is not None and checkpoint_every < 1):
            raise ValueError("every, checkpoint_every and keep are numbers of at least 1")
        self.step = self.epoch = 0
        self._values = {part: value for part, value in components.items() if value is not None}
        self._components = {part: component(part, value) for part, value in self._values.items()}
        self._every, self._checkpoint_every, self._keep = every, checkpoint_every, keep
        self._name, self._directory = name, Path(directory).absolute() if directory else None
        self._samplers = [one for one in self._values.values() if isinstance(one, ResumableBatchSampler)]
        self._section: str | None = None
        self._in_epoch = self._mark = 0
        self._generators = generators.Generators()
        self._due: str | None = None  # a checkpoint that is to be written: periodic or final
        self._place: _Place | None = None

    def restore(
        self,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        path: str | Path | None = None,
    ) -> Restored | None:
        """Goes on from the newest state that is whole, in memory or on disk; None where there is none.

        ``path`` is a checkpoint to begin with where this job has no state of its own yet; of it, what matches
        a glob of ``include`` and none of ``exclude`` is taken, and the step only where that is all.
        Raises CheckpointError, StateError, and Mismatch, which names each tensor that does not fit.
        """
        if path is None and (tuple(include) != ("*",) or exclude):
            raise ValueError("restore(include=, exclude=) choose from a checkpoint that is given: path=")
        started = time.perf_counter()
        place, ranks = self._here(), group()
        with no_collection(), find(place.here, place.home, ranks, self._every) as finding:
            restored = self._take(finding) if finding.source else None
        place.memory.adopt(finding.segments)
        if path is not None and restored:
            say(f"{path} is not used: this job has a state of its own")
        elif path is not None:
            restored = self._take_given(Path(path), include, exclude)
        if ranks:
            ranks.barrier()  # else one commits while another still reads
        seconds = time.perf_counter() - started
        self._tell(restored, finding, seconds)
        if place.here.drill:
            step, where = (restored.step, restored.source) if restored else (0, "")
            drill.after_restore(place.here, step, where, seconds, self._private())
        return restored

    def commit(self, batches: int = 1) -> None:
        """A step is done, on ``batches`` batches: keeps the state, unless there is no room for it."""
        self.step += 1
        self._in_epoch += 1
        self._mark = 0
        for sampler in self._samplers:
            sampler.committed(batches)
        if self._checkpoint_every and self.step % self._checkpoint_every == 0:
            self._due = "periodic"
        if not self._section and (self._due or self.step % self._every == 0):
            self._keep_state()
        if watch := sys.modules.get(WORKER):
            watch.beat()
        if self._here().here.drill:
            drill.after_commit(self._here().here, self._stamp(), self._shared(), self._private())

    def save(self) -> None:
        """Asks for a checkpoint on disk of the state as it is now."""
        self._due, self._mark = "periodic", self._mark + 1
        self._keep_state()

    def epochs(self, count: int) -> Iterator[int]:
        """The numbers of the epochs that are still to be done, the interrupted one first; of that one, the
        batch sampler gives what is left. Without such a sampler it begins again."""
        if self._in_epoch and self.epoch < count and not self._is_resumable():
            say(f"epoch {self.epoch} begins again: no ResumableBatchSampler knows its place in it")
        while self.epoch < count:
            for sampler in self._samplers:
                sampler.set_epoch(self.epoch)
            yield self.epoch
            self._end_epoch()
        if self._checkpoint_every and self._in_epoch == 0 and self.step:
            self._due, self._mark = "final", self._mark + 1
            self._keep_state()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """A part of the script that is no training, such as an evaluation: no state is kept meanwhile."""
        outer, self._section = self._section, name
        watch = sys.modules.get(WORKER)
        if watch:
            watch.enter_section(name)
        try:
            yield
        finally:
            self._section = outer
            if watch:
                watch.leave_section()

    # What follows is not for callers.

    def _here(self) -> "_Place":
        if self._place is None:
            self._place = _Place(look_around(os.environ, self._name, self._directory), self._keep)
        return self._place

    def _keep_state(self) -> None:
        place, shared, private = self._here(), self._shared(), self._private()
        stamp = self._stamp()
        if place.memory.off:
            self._save_live(place, stamp, shared, private)
            return
        parts = [flat.leaves for flat in shared.values()] if place.here.writes_shared else []
        meta = self._meta(stamp, shared if place.here.writes_shared else {}, private)
        if place.memory.write(self.step, [*parts, private.leaves], 1, meta):
            self._ask_for_checkpoint(place)

    def _save_live(self, place: "_Place", stamp: dict[str, Any], shared: dict[str, Flat], rank: Flat) -> None:
        """Where no state is kept, a checkpoint still is written: by this process, while training waits."""
        due, self._due = self._due, None
        if due and place.here.rank == 0:
            place.saver.from_live(stamp, shared, rank, Cause(due))

    def _ask_for_checkpoint(self, place: "_Place") -> None:
        due, self._due = self._due, None
        if not due or not place.here.writes_shared:
            return
        if place.here.snapshots:
            _request(place.here.snapshots / f"{REQUEST}{self.step}", due, self._keep)
        elif place.here.rank == 0:
            place.saver.from_memory(Cause(due))

    def _meta(self, stamp: dict[str, Any], shared: dict[str, Flat], private: Flat) -> bytes:
        # Put together from texts: what has not changed since the last step is not written out again.
        trees = ",".join(f"{json.dumps(name)}:{flat.text}" for name, flat in shared.items())
        rest = {"stamp": stamp, "section": self._section, "save": self._due or False, "keep": self._keep}
        return f'{{"shared":{{{trees}}},"rank":{private.text},{json.dumps(rest)[1:]}'.encode()

    def _stamp(self) -> dict[str, Any]:
        here = self._here().here
        return {
            "step": self.step,
            "epoch": self.epoch,
            "mark": self._mark,
            "in_epoch": self._in_epoch,
            "samples": self._samplers[0].cursor if self._samplers else None,
            "world_size": here.world_size,
            "rank": here.rank,
            "attempt": here.attempt,
            "job": here.job,
            "identity": here.identity,
        }

    def _shared(self) -> dict[str, Flat]:
        return {name: one.flat() for name, one in self._components.items()}

    def _private(self) -> Flat:
        return self._generators.flat()

    def _take(self, finding: Finding) -> Restored:
        source = finding.source
        assert source is not None
        put_back(self._components, source)
        self._take_counters(source)
        source.check()
        rejected = tuple(f"{one.path}: {one.reason}" for one in finding.rejected)
        return Restored(self.step, self.epoch, source.where, (), rejected)

    def _take_given(self, path: Path, include: Sequence[str], exclude: Sequence[str]) -> Restored:
        here, entry = self._here().here, read_entry(path)
        if faults := verify(entry.path, entry.manifest):
            raise CheckpointError(f"{path}: {faults[0].file}: {faults[0].what}")
        with from_disk(entry, here.rank, here.world_size) as source:
            if tuple(include) == ("*",) and not exclude:
                return self._take(Finding(source))
            skipped = put_back_some(self._components, source, include, exclude)
        return Restored(0, 0, str(path), skipped)

    def _take_counters(self, source: Source) -> None:
        stamp, here = source.stamp, self._here().here
        self.step, self.epoch = stamp["step"], stamp["epoch"]
        self._in_epoch, self._mark = stamp.get("in_epoch", 0), stamp.get("mark", 0)
        numbers = put_back_generators(source, here.identity, here.rank)
        if numbers is None:
            say_here(f"rank {here.rank} has no random state of step {self.step}: seeded anew")
            return
        # A loader draws a number when it is made ready; the run that was interrupted had done so long ago.
        for sampler in self._samplers:
            sampler.on_first_batch = lambda: generators.put_back(numbers)

    def _end_epoch(self) -> None:
        for sampler in self._samplers:
            if not sampler.finished:
                say(
                    f"epoch {self.epoch} ended at sample {sampler.cursor} of {sampler.samples}: "
                    "one commit() a batch is expected, commit(batches=k) where a step takes k"
                )
        self.epoch, self._in_epoch = self.epoch + 1, 0
        for sampler in self._samplers:
            sampler.set_epoch(self.epoch)

    def _is_resumable(self) -> bool:
        """Has a sampler, or a loader that keeps its own place."""
        return bool(self._samplers) or any(
            hasattr(value, "__iter__") and isinstance(self._components[name], ObjectComponent)
            for name, value in self._values.items()
        )

    def _tell(self, restored: Restored | None, finding: Finding, seconds: float) -> None:
        for one in (*finding.faults, *(f"{one.path}: {one.reason}" for one in finding.rejected)):
            say(f"not used: {one}")
        if restored is None:
            say("nothing to resume: starting at step 0")
            return
        cause = f" ({finding.source.cause})" if finding.source and finding.source.cause else ""
        place = restored.source if restored.source == "memory" else shown(Path(restored.source))
        where = f"from {place}{cause} in {seconds * 1000:.0f} ms"
        if restored.skipped:
            say(f"{len(restored.skipped)} left out: {', '.join(restored.skipped[:20])}")
        say(f"step {restored.step} (epoch {restored.epoch}) restored {where}")


def _request(path: Path, kind: str, keep: int) -> None:
    """Asks the agent for a checkpoint; it looks for such files now and then."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(json.dumps({"kind": kind, "keep": keep}))
    unfinished.rename(path)


class _Place:
    """What a state holds of its surroundings; made when it is first needed."""

    def __init__(self, here: Surroundings, keep: int) -> None:
        self.here = here
        self.home: Home = home(here)
        self.memory = Memory(here, self.home.places(here.rank))
        self.saver = Saver(here, self.home, keep)
        if here.alone:
            Endings(self._save, self._leave)

    def _save(self, cause: Cause) -> None:
        if self.here.rank == 0:
            self.saver.from_memory(cause)

    def _leave(self, keep: bool) -> None:
        self.memory.close()
        self.home.leave(keep)
