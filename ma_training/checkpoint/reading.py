"""Loads a checkpoint for one rank, or what is wanted of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ma_training.snapshot.leaves import LeafSpec

from .errors import CheckpointError, Mismatch
from .manifest import STATE, Manifest, rank_file
from .safetensors_file import TensorFile, open_file
from .store import Entry, hold


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint as one rank sees it. ``rank_meta`` is None where the checkpoint has nothing of this
    rank, as after a change of world size. ``skipped`` are the leaves that were not asked for."""

    manifest: Manifest
    rank_meta: dict[str, Any] | None
    leaves: dict[str, tuple[LeafSpec, memoryview]]  # read-only, to be copied
    skipped: tuple[str, ...]

    @property
    def meta(self) -> dict[str, Any]:
        return self.manifest.meta


@contextmanager
def load(
    entry: Entry,
    rank: int,
    wanted: Sequence[LeafSpec] | None = None,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
) -> Iterator[Loaded]:
    """Opens ``entry``, which is not removed meanwhile; leaves are to be copied before the end.

    ``include`` and ``exclude`` are globs over names of leaves, whose ``*`` goes over ``/``. Raises
    Mismatch where ``wanted``, as far as included, differs from what is there, and CheckpointError for a
    glob without effect and for a file that is damaged. Contents are not hashed here: newest_valid is.
    """
    with hold(entry):
        files = _open(entry, rank)
        specs = {name: spec for file in files for name, spec in file.specs.items()}
        chosen = choose([*specs, *(spec.name for spec in wanted or ())], include, exclude, str(entry.path))
        if wanted is not None:
            found = [spec for name, spec in specs.items() if name in chosen]
            compare([spec for spec in wanted if spec.name in chosen], found, str(entry.path))
        leaves = {
            name: (spec, file.leaf(name))
            for file in files
            for name, spec in file.specs.items()
            if name in chosen
        }
        skipped = tuple(name for name in specs if name not in chosen)
        yield Loaded(entry.manifest, entry.manifest.ranks.get(rank), leaves, skipped)


def choose(names: Sequence[str], include: Sequence[str], exclude: Sequence[str], where: str) -> set[str]:
    """The names that match a glob of ``include`` and none of ``exclude``.

    Raises CheckpointError for a glob that matches nothing: it is mistyped, and what follows from that
    (a model that starts from scratch) would go unnoticed.
    """
    for glob in (*include, *exclude):
        if glob != "*" and not any(fnmatchcase(name, glob) for name in names):
            raise CheckpointError(f"{where}: no tensor is named like {glob!r}")
    return {name for name in names if _matches(name, include) and not _matches(name, exclude)}


def compare(wanted: Sequence[LeafSpec], found: Sequence[LeafSpec], where: str) -> None:
    """Raises Mismatch, which names every tensor that is missing, unexpected or another one."""
    there = {spec.name: spec for spec in found}
    differences = [
        f"{spec.name}: wanted {_shown(spec)}, found {_shown(there.get(spec.name))}"
        for spec in wanted
        if there.get(spec.name) != spec
    ]
    names = {spec.name for spec in wanted}
    differences += [
        f"{spec.name}: not wanted, found {_shown(spec)}" for spec in found if spec.name not in names
    ]
    if differences:
        raise Mismatch(where, differences)


def _open(entry: Entry, rank: int) -> list[TensorFile]:
    names = [name for name in (STATE, rank_file(rank)) if name in entry.manifest.files]
    try:
        return [open_file(entry.path / name) for name in names]
    except OSError as error:
        raise CheckpointError(f"{error.filename or entry.path}: cannot be read: {error.strerror}") from None


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _shown(spec: LeafSpec | None) -> str:
    return f"{spec.dtype} {list(spec.shape)}" if spec else "none"
