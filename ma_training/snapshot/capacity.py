"""Where the copies of a state go: into shared memory, into a file on disk, or nowhere.

Asked before a file is made. A shared-memory file system that is full says so; a cgroup's limit does not:
it has a process killed, with no error, for its pages are charged to the cgroup.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ma_training.job import format_size

from .layout import MIN_SLOTS, PAGE, SCHEMA_AT
from .leaves import aligned

Mode = Literal["auto", "shm", "disk", "off"]
Where = Literal["shm", "disk", "off"]

MARGIN = 0.1  # of a limit on memory, and at least this many bytes: training itself still grows
MIN_MARGIN = 64 << 20
SLOTS = (3, 2)  # three: one may be pinned while two take turns. One alone is lost if killed in mid-copy.


META_ROOM = 64 << 10  # bytes: what a state's other values may grow by


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be kept of a state, in bytes: its arrays, its other values, and the schema of a file."""

    data: int
    meta: int = 0
    schema: int = 0

    @property
    def bytes(self) -> int:
        """Taken by one of at least two copies in a file, with its share of what the file has once."""
        once = SCHEMA_AT + aligned(self.schema) + 2 * PAGE
        return aligned(self.data, PAGE) + aligned(self.meta + META_ROOM) + once // MIN_SLOTS


class MemoryBound(Protocol):
    """What `devices.memory_limits` gives. Bytes."""

    @property
    def what(self) -> str: ...
    @property
    def limit(self) -> int: ...
    @property
    def left(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that may be taken, and what it is that allows no more."""

    bytes: int
    limited_by: str


@dataclass(frozen=True, slots=True)
class Choice:
    """``why`` is a sentence for people; it says what was wanted where less was got."""

    where: Where
    slots: int  # copies of a rank's state; 0 where off
    why: str


def file_room(directory: Path) -> Room | None:
    """What the file system of ``directory`` has free; None where it sets no bound (a tmpfs of size 0)."""
    found = os.statvfs(directory)
    return Room(found.f_bavail * found.f_frsize, str(directory)) if found.f_blocks else None


def room(files: Room | None, memory: Iterable[MemoryBound] = ()) -> Room:
    """The tightest of what a file system has and what memory leaves, less a margin.

    Pass `devices.memory_limits()` for shared memory, nothing for a disk.
    """
    rooms = [Room(max(0, bound.left - _margin(bound.limit)), bound.what) for bound in memory]
    rooms += [files] if files else []
    return min(rooms, key=lambda one: one.bytes, default=Room(0, "nothing that can be read"))


def decide(
    copies: Sequence[Copy], shm: Room, disk: Room | None = None, mode: Mode = "auto", writers: int = 1
) -> Choice:
    """Where a state goes that takes all of ``copies``, when ``writers`` ranks of this node keep as many each.

    Shared memory with three copies, else with two, else the disk, else nowhere.
    """
    if mode == "off":
        return Choice("off", 0, "snapshots are switched off")
    need = sum(copy.bytes for copy in copies)
    places: dict[Where, Room | None] = {"shm": shm, "disk": disk}
    complaints: list[str] = []
    for where, place in places.items():
        if mode not in ("auto", where):
            continue
        choice = _fitted(where, need * writers, place, writers)
        if choice.slots:
            return Choice(where, choice.slots, "; ".join([*complaints, choice.why]))
        complaints.append(choice.why)
    return Choice("off", 0, "; ".join(complaints))


def _fitted(where: Where, need: int, place: Room | None, writers: int) -> Choice:
    """As many copies as fit into one place. ``need`` is that of all writers for one copy."""
    if place is None:
        return Choice(where, 0, "no directory on disk was given")
    slots = next((slots for slots in SLOTS if slots * need <= place.bytes), 0)
    leaves = f"{place.limited_by} leaves {format_size(place.bytes)}"
    if slots == SLOTS[0]:
        return Choice(where, slots, f"{leaves}, {_copies(slots, need, writers)}")
    if slots:
        skip = "a step is skipped where one of them is being saved"
        return Choice(where, slots, f"{leaves}, {_copies(SLOTS[0], need, writers)}: {slots} are kept, {skip}")
    return Choice(where, 0, f"{leaves}, {_copies(SLOTS[-1], need, writers)}")


def _copies(slots: int, need: int, writers: int) -> str:
    ranks = f" for each of {writers} ranks" if writers > 1 else ""
    return f"{slots} copies of {format_size(need // writers)}{ranks} need {format_size(slots * need)}"


def _margin(limit: int) -> int:
    return max(int(limit * MARGIN), MIN_MARGIN)
