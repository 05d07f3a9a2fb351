"""Training state in memory that outlives its process."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .capacity import Choice, Copy, Mode, Room, decide, file_room, room
    from .directory import JobDirectory, default_root, job_key, sweep
    from .errors import SnapshotError
    from .leaves import LeafSpec, Schema
    from .segment import Segment
    from .slot import Slot, Stored

__all__ = [
    "Choice",
    "Copy",
    "JobDirectory",
    "LeafSpec",
    "Mode",
    "Room",
    "Schema",
    "Segment",
    "Slot",
    "SnapshotError",
    "Stored",
    "decide",
    "default_root",
    "file_room",
    "job_key",
    "room",
    "sweep",
]

# The agent makes the directory before it starts anything; the rest takes 20 ms to import.
_HOMES = {
    "capacity": ("Choice", "Copy", "Mode", "Room", "decide", "file_room", "room"),
    "directory": ("JobDirectory", "default_root", "job_key", "sweep"),
    "errors": ("SnapshotError",),
    "leaves": ("LeafSpec", "Schema"),
    "segment": ("Segment",),
    "slot": ("Slot", "Stored"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
