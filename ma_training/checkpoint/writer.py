"""Writes a state to disk as a checkpoint."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ma_training.job import format_size

from .errors import CheckpointError, NotFinite
from .finite import not_finite
from .making import Making, point_latest, sweep, sync_directory
from .manifest import STATE, Cause, FileRecord, Manifest, rank_file
from .safetensors_file import Leaf, write


@dataclass(frozen=True, slots=True)
class RankState:
    """What one rank has for itself, such as its random numbers."""

    meta: dict[str, Any] = field(default_factory=dict)
    leaves: Sequence[Leaf] = ()


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """A state of all ranks at one step. ``leaves`` are the same on all of them."""

    job: str
    identity: str  # what a later run must have in common with this one to go on from here
    step: int
    epoch: int
    world_size: int
    cause: Cause
    meta: dict[str, Any]
    leaves: Sequence[Leaf]
    ranks: Mapping[int, RankState] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all leaves."""
        return sum(spec.nbytes for _, leaves in self.files() for spec, _ in leaves)

    def files(self) -> Iterator[tuple[str, Sequence[Leaf]]]:
        yield STATE, self.leaves
        for rank, state in sorted(self.ranks.items()):
            if state.leaves:
                yield rank_file(rank), state.leaves


def write_checkpoint(root: Path, state: CheckpointState) -> Path:
    """Writes ``state`` under ``root``, which is made if missing; returns the checkpoint's directory.

    Raises NotFinite for a state with NaN or Inf, and CheckpointError where it cannot be written: the
    checkpoints that were there are as they were, and of this one nothing is left.
    """
    _check(state)
    try:
        _make_root(root)
        sweep(root)  # first: it is room that this checkpoint may need
        with Making(root) as making:
            path = _write(making, state)
    except OSError as error:
        raise CheckpointError(_why_not(root, state, error)) from None
    try:
        point_latest(root, path.name)
    except OSError:
        return path  # the checkpoint is there; an older hint does no harm
    return path


def _check(state: CheckpointState) -> None:
    if names := [name for _, leaves in state.files() for name in not_finite(leaves)]:
        raise NotFinite(names)
    shared = {spec.name for spec, _ in state.leaves}
    for rank, of_rank in state.ranks.items():
        if twice := shared & {spec.name for spec, _ in of_rank.leaves}:
            raise CheckpointError(f"not saved: {min(twice)} is a leaf of all ranks, and one of rank {rank}")
    _manifest(state, {STATE: FileRecord(0, "0" * 64)}).to_json()  # before anything large is written


def _write(making: Making, state: CheckpointState) -> Path:
    # "pt" is what readers of the format, such as transformers, look for.
    metadata = {"format": "pt", "step": str(state.step)}
    files = {
        name: making.write(name, lambda file, leaves=leaves: write(file, leaves, metadata))  # type: ignore[misc]
        for name, leaves in state.files()
    }
    return making.finish(f"step-{state.step:09d}", _manifest(state, files).to_json())


def _manifest(state: CheckpointState, files: dict[str, FileRecord]) -> Manifest:
    return Manifest(
        job=state.job,
        identity=state.identity,
        step=state.step,
        epoch=state.epoch,
        world_size=state.world_size,
        cause=state.cause,
        created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        meta=state.meta,
        ranks={rank: of_rank.meta for rank, of_rank in sorted(state.ranks.items())},
        files=files,
    )


def _make_root(root: Path) -> None:
    if root.is_dir():
        return
    _make_root(root.parent)
    root.mkdir(mode=0o700, exist_ok=True)
    sync_directory(root.parent)


def _why_not(root: Path, state: CheckpointState, error: OSError) -> str:
    why = os.strerror(error.errno or errno.EIO)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why += f" ({format_size(state.size)} are needed)"
    where = f" ({error.filename})" if error.filename else ""
    return f"cannot save step {state.step} under {root}: {why}{where}; earlier checkpoints are untouched"
