"""What is there to go on from: the states in this node's memory, and a checkpoint on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ma_training.checkpoint import Entry, load
from ma_training.snapshot import Segment, SnapshotError, Stored
from ma_training.snapshot.layout import Word
from ma_training.snapshot.populate import Populating

from .agreement import Holding, key_of
from .errors import StateError
from .flat import Found
from .homes import Home
from .stored_leaves import StoredLeaves, part


@dataclass(frozen=True, slots=True)
class Source:
    """A state as one rank sees it. ``shared`` and ``rank`` are trees by component, ``found`` and ``own``
    their arrays; ``rank`` is None where there is nothing of this rank."""

    where: str  # in words
    stamp: dict[str, Any]
    shared: dict[str, Any]
    rank: dict[str, Any] | None
    found: Found
    own: Found
    cause: str = ""
    stored: tuple[Stored, ...] = ()

    def check(self) -> None:
        """After copying. Raises StateError where another process has written over it meanwhile."""
        if not all(state.is_there() for state in self.stored):
            raise StateError(f"step {self.stamp['step']} was overwritten in memory while it was restored")


@dataclass(slots=True)
class Recollection:
    """The states in this node's memory."""

    shared: dict[int, Stored] = field(default_factory=dict)  # by key
    private: dict[int, Stored] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    segments: dict[Path, Segment] = field(default_factory=dict)  # that were opened
    populating: list[Populating] = field(default_factory=list)

    def wait(self) -> None:
        """Until nothing but this thread is at work in the segments: they may then be closed."""
        for one in self.populating:
            one.wait()

    def holding(self) -> Holding:
        return Holding(sorted(self.shared), sorted(self.private))

    def source(self, key: int) -> Source:
        """Raises KeyError where this node has not got the shared part."""
        shared, private = self.shared[key], self.private.get(key)
        return Source(
            "memory",
            shared.meta["stamp"],
            shared.meta["shared"],
            private.meta["rank"] if private else None,
            StoredLeaves.of(shared, "shared/"),
            StoredLeaves.of(private, "rank/") if private else {},
            stored=(shared, private) if private else (shared,),
        )

    def private_source(self, key: int) -> Source | None:
        """This rank's part alone; None where it is not there either."""
        if key not in self.private:
            return None
        state = self.private[key]
        leaves = StoredLeaves.of(state, "rank/")
        return Source("memory", state.meta["stamp"], {}, state.meta["rank"], {}, leaves, stored=(state,))


def recollect(home: Home, rank: int, world_size: int, identity: str) -> Recollection:
    """Looks at all segments of this node. What is damaged, or of another job, counts for nothing."""
    found = Recollection()
    for other in home.ranks():
        for path in home.places(other):
            for state in _states(path, found):
                if _is_of(state, identity):
                    _add(found, state, other == rank, world_size)
    return found


def _add(found: Recollection, state: Stored, own: bool, world_size: int) -> None:
    stamp = state.meta["stamp"]
    key = key_of(stamp["step"], stamp.get("mark", 0))
    if state.meta["shared"]:
        found.shared.setdefault(key, state)
    if own and state.meta["rank"] and stamp["world_size"] == world_size:
        found.private.setdefault(key, state)


def _states(path: Path, found: Recollection) -> Iterator[Stored]:
    if not path.exists():
        return
    try:
        segment = found.segments[path] = Segment.open(path)
    except SnapshotError as error:
        found.faults.append(str(error))
        return
    states = segment.states()
    if states:
        found.populating.append(Populating(states[0].memory.data))
    if states and not _is_sound(states[0]):  # the older ones are rarely wanted, and a GiB takes 0.1 s
        found.faults.append(f"step {states[0].step} in {path}: its checksum does not fit")
        states = states[1:]
    yield from states


def _is_sound(state: Stored) -> bool:
    """Its data has the checksum that the keeper stored for it, if it did."""
    words = state.memory.words
    if words[Word.CHECKSUM_SEQ] != state.seq:
        return True
    return state.memory.checksum(state.seq) == words[Word.CHECKSUM]


def _is_of(state: Stored, identity: str) -> bool:
    stamp = state.meta.get("stamp")
    return isinstance(stamp, dict) and stamp.get("identity") == identity


@contextmanager
def from_disk(entry: Entry, rank: int, world_size: int) -> Iterator[Source]:
    """Raises CheckpointError, and StateError for a checkpoint that was not written by a training state."""
    with load(entry, rank) as loaded:
        manifest = loaded.manifest
        if not isinstance(manifest.meta.get("shared"), dict):
            raise StateError(f"{entry.path} holds no training state: its meta has no part named shared")
        same_ranks = manifest.world_size == world_size and loaded.rank_meta is not None
        stamp = {"step": manifest.step, "epoch": manifest.epoch, **manifest.meta.get("stamp", {})}
        own = (loaded.rank_meta or {}).get("rank") if same_ranks else None
        cause = manifest.cause.kind
        parts: tuple[Found, Found] = (part(loaded.leaves, "shared/"), part(loaded.leaves, "rank/"))
        yield Source(str(entry.path), stamp, manifest.meta["shared"], own, *parts, cause)
