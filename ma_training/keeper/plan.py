"""What a job wants kept of its training state, and where."""

from dataclasses import dataclass
from pathlib import Path

from ma_training.snapshot.directory import job_key

KEEP = 3  # checkpoints that stay, where the script says nothing else


@dataclass(frozen=True, slots=True)
class StatePlan:
    mode: str  # of snapshots: auto, shm, disk or off
    checkpoints: Path  # directory of this job's
    identity: str  # what a later run must have in common with this one to resume


def identity_of(name: str, checkpoints: Path) -> str:
    """The same command, run again by hand, finds what this one has left: name and place, not the run's id."""
    return f"{name} {checkpoints}"


def key_of(identity: str, number: int) -> str:
    """Of the directory of snapshots of a job's ``number``-th agent on a machine."""
    return job_key(f"{identity}#{number}")
