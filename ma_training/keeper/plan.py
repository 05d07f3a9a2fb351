"""What a job wants kept of its training state, and where."""

from dataclasses import dataclass
from pathlib import Path

KEEP = 3  # checkpoints that stay, where the script says nothing else


@dataclass(frozen=True, slots=True)
class StatePlan:
    mode: str  # of snapshots: auto, shm, disk or off
    checkpoints: Path  # directory of this job's
    identity: str  # what a later run must have in common with this one to resume
