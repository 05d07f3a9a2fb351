"""Where this process finds itself: which rank of how many, and what a launcher provides."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ma_training.keeper import environment as names
from ma_training.snapshot import Mode

from .errors import StateError


@dataclass(frozen=True, slots=True)
class Surroundings:
    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    attempt: int
    job: str
    identity: str  # of the job: a later run with the same one goes on from here
    name: str  # for people, and for a directory of checkpoints
    mode: Mode
    snapshots: Path | None  # the agent's directory of segments; None without an agent
    disk: Path | None  # for segments, where shared memory has no room
    checkpoints: Path
    resume_step: int | None  # what the agent found that all ranks have in memory
    drill: Mapping[str, Any] | None

    @property
    def alone(self) -> bool:
        """No launcher."""
        return self.snapshots is None

    @property
    def writes_shared(self) -> bool:
        """What all ranks have alike is written by one a node."""
        return self.local_rank == 0


def look_around(
    environ: Mapping[str, str], name: str | None = None, directory: Path | None = None
) -> Surroundings:
    """Raises StateError for a variable that makes no sense."""
    rank, world = _number(environ, "RANK", 0), _number(environ, "WORLD_SIZE", 1)
    snapshots = _path(environ, names.SNAPSHOTS)
    script = _script()
    label = name or environ.get(names.JOB) or script.stem or "training"
    # Under a launcher its keeper writes there as well: one place, whatever the script says.
    given = _path(environ, names.CHECKPOINTS) or directory
    return Surroundings(
        rank=rank,
        world_size=world,
        local_rank=_number(environ, "LOCAL_RANK", 0),
        local_world_size=_number(environ, "LOCAL_WORLD_SIZE", world),
        attempt=_number(environ, "TORCHELASTIC_RESTART_COUNT", 0),
        job=environ.get(names.JOB, label),
        identity=environ.get(names.IDENTITY) or name or f"{script}:{Path.cwd()}",
        name=label,
        mode=_mode(environ),
        snapshots=snapshots,
        disk=_path(environ, names.DISK),
        checkpoints=given or Path.cwd() / "checkpoints" / _file_name(label),
        resume_step=_optional(environ, names.RESUME_STEP),
        drill=_drill(environ),
    )


def _script() -> Path:
    return Path(sys.argv[0]).absolute() if sys.argv and sys.argv[0] else Path("training")


def _file_name(label: str) -> str:
    return (
        "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in label).lstrip(".")
        or "training"
    )


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    found = _optional(environ, name)
    return default if found is None else found


def _optional(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise StateError(f"{name}={text!r} in the environment is no number from 0 up")
    return int(text)


def _mode(environ: Mapping[str, str]) -> Mode:
    text = environ.get(names.MODE) or "auto"
    for mode in get_args(Mode):
        if text == mode:
            return mode  # type: ignore[no-any-return]
    raise StateError(f"{names.MODE}={text!r} is none of {', '.join(get_args(Mode))}")


def _drill(environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    text = environ.get("LAUNCHER_WORKER_DRILL")
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or type(found.get("stop_at")) is not int or "out" not in found:
        raise StateError(f"LAUNCHER_WORKER_DRILL={text!r} is no JSON object with stop_at and out")
    return found
