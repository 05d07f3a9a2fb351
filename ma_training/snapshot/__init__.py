"""Training state in memory that outlives its process."""

from .capacity import Choice, Mode, Room, decide, file_room, room
from .directory import JobDirectory, default_root, job_key, sweep
from .errors import SnapshotError
from .leaves import LeafSpec, Schema
from .segment import Segment
from .slot import Slot, Stored

__all__ = [
    "Choice",
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
