"""Finds the state that this job goes on from: memory where it has a step no older than the disk's, else disk.

With a process group the ranks agree, and give each other what a node has not got. Without one, all ranks
must be of one node: each sees all there is, and takes the step that the agent has found to be complete.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ma_training.checkpoint import (
    CheckpointError,
    CheckpointStore,
    Entry,
    Manifest,
    Rejected,
    read_entry,
)
from ma_training.snapshot import Segment

from .agreement import Holding, newest_common, step_of
from .errors import StateError
from .group import Group
from .homes import Home
from .recall import Recollection, Source, from_disk, recollect
from .surroundings import Surroundings
from .transfer import share_source

MOST = 8  # states told of by each rank: more than there are slots


@dataclass(frozen=True, slots=True)
class Finding:
    source: Source | None
    rejected: tuple[Rejected, ...] = ()
    faults: tuple[str, ...] = ()
    segments: dict[Path, Segment] = field(default_factory=dict)  # that were looked into; open


@contextmanager
def find(here: Surroundings, home: Home, group: Group | None, apart: int = 1) -> Iterator[Finding]:
    """What it gives is to be copied before the end. Raises StateError, and CheckpointError.

    ``apart``: steps from one state that is kept to the next, which is as far as ranks are from each other.
    """
    memory = recollect(home, here.rank, here.world_size, here.identity)
    with ExitStack() as stack:
        stack.callback(memory.wait)
        finding = _together(here, memory, group, apart, stack) if group else _apart(here, memory, stack)
        yield replace(finding, segments=memory.segments)


def _apart(here: Surroundings, memory: Recollection, stack: ExitStack) -> Finding:
    if here.world_size > here.local_world_size or (here.alone and here.world_size > 1):
        raise StateError(
            f"restore() on rank {here.rank} of {here.world_size}: the ranks must agree on a step\n"
            "hint: call it after torch.distributed.init_process_group()"
        )
    key = _own_key(here, memory)
    entry, rejected = _newer_on_disk(here, key)
    faults = tuple(memory.faults)
    if entry:
        source = stack.enter_context(from_disk(entry, here.rank, here.world_size))
        return Finding(source, tuple(rejected), faults)
    return Finding(None if key is None else memory.source(key), tuple(rejected), faults)


def _own_key(here: Surroundings, memory: Recollection) -> int | None:
    if here.alone:
        return newest_common([memory.holding()])
    of_step = [key for key in memory.shared if step_of(key) == here.resume_step]
    return max(of_step, default=None)


def _newer_on_disk(here: Surroundings, key: int | None) -> tuple[Entry | None, list[Rejected]]:
    """The newest that is whole, if it is newer than what memory has."""
    store, in_memory = CheckpointStore(here.checkpoints), -1 if key is None else step_of(key)
    entries = store.entries()
    if not entries or entries[0].manifest.step <= in_memory:
        return None, []
    entry, rejected = store.newest_valid(here.identity)
    return (entry if entry and entry.manifest.step > in_memory else None), rejected


def _together(
    here: Surroundings, memory: Recollection, group: Group, apart: int, stack: ExitStack
) -> Finding:
    holdings = [_holding(numbers) for numbers in group.gather(_numbers(memory))]
    key = newest_common(holdings)
    entry, rejected = _newer_on_disk(here, key) if group.rank == 0 else (None, [])
    if entry and key is not None and is_one_ahead(entry.manifest, step_of(key), here.world_size, apart):
        entry = None
    path = bytes(group.spread(str(entry.path).encode() if entry else b"", 0)).decode()
    own = _from_path(here, Path(path), stack) if path else _from_memory(memory, key)
    if not path and key is None:
        return Finding(None, tuple(rejected), tuple(memory.faults))
    source = share_source(group, own)
    if path:
        source = replace(source, where=path)
    return Finding(source, tuple(rejected), tuple(memory.faults))


def is_one_ahead(manifest: Manifest, in_memory: int, world_size: int, apart: int) -> bool:
    """A checkpoint that a node has made of a step which other nodes had not come to, and whose ranks it
    therefore lacks: the step that all have is as good as that one, and loses no random numbers."""
    lacking = manifest.world_size != world_size or len(manifest.ranks) < world_size
    return lacking and manifest.step <= in_memory + apart


def _from_memory(memory: Recollection, key: int | None) -> Source | None:
    """The private part may be here where the shared one is not: it then comes with the other's."""
    if key is None:
        return None
    return memory.source(key) if key in memory.shared else memory.private_source(key)


def _from_path(here: Surroundings, path: Path, stack: ExitStack) -> Source | None:
    """None where this node does not see the file system that rank 0 has it on."""
    try:
        return stack.enter_context(from_disk(read_entry(path), here.rank, here.world_size))
    except CheckpointError:
        if here.rank == 0:
            raise
        return None


def _numbers(memory: Recollection) -> list[int]:
    holding = memory.holding()
    return [number for keys in (holding.shared, holding.private) for number in _padded(keys)]


def _padded(keys: Sequence[int]) -> list[int]:
    newest = list(keys)[-MOST:]
    return newest + [-1] * (MOST - len(newest))


def _holding(numbers: list[int]) -> Holding:
    return Holding(
        [key for key in numbers[:MOST] if key >= 0],
        [key for key in numbers[MOST:] if key >= 0],
    )
