"""Puts a state that was found into the components, all of it or what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ma_training.checkpoint import CheckpointError

from . import generators
from .components import Component
from .errors import StateError
from .flat import build
from .recall import Source
from .stored_leaves import part


@dataclass(frozen=True, slots=True)
class Restored:
    """``source`` is "memory" or a path. ``skipped`` are names that were there and were not asked for."""

    step: int
    epoch: int
    source: str
    skipped: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()  # newer ones that could not be used, and why


def put_back(components: Mapping[str, Component], source: Source) -> None:
    """All of it. Raises StateError where parts are missing, and Mismatch where tensors are not as wanted."""
    if missing := [name for name in components if name not in source.shared]:
        raise StateError(
            f"{', '.join(missing)}: not in the state from {source.where}, "
            f"which has {', '.join(source.shared)}\n"
            "hint: start with another name=, or give the checkpoint by hand: restore(path=..., include=...)"
        )
    for name, component in components.items():
        component.load(source.shared[name], part(source.found, f"shared/{name}/"), partly=False)


def put_back_some(
    components: Mapping[str, Component], source: Source, include: Sequence[str], exclude: Sequence[str]
) -> tuple[str, ...]:
    """What matches a glob of ``include`` and none of ``exclude``; returns the names of what does not.

    A part without tensors, such as a schedule, has the name "schedule/". Raises CheckpointError for a glob
    that matches nothing.
    """
    names = {_bare(name): name for name in source.found}
    for component in source.shared:
        if not any(name.startswith(f"{component}/") for name in names):
            names[f"{component}/"] = f"shared/{component}/"
    for glob in (*include, *exclude):
        if glob != "*" and not any(fnmatchcase(name, glob) for name in names):
            raise CheckpointError(f"{source.where}: nothing is named like {glob!r}")
    chosen = {name for name in names if _matches(name, include) and not _matches(name, exclude)}
    wanted = {name.partition("/")[0] for name in chosen}
    for name in sorted(wanted & set(components)):
        found = {names[one]: source.found[names[one]] for one in chosen if names[one] in source.found}
        components[name].load(source.shared[name], part(found, f"shared/{name}/"), partly=True)
    used = {name for name in chosen if name.partition("/")[0] in components}
    return tuple(sorted(set(names) - used))


def put_back_generators(source: Source, identity: str, rank: int) -> Any:
    """This rank's random numbers; None where it has none, and they were seeded instead."""
    if source.rank is None:
        generators.seed(identity, source.stamp["step"], rank)
        return None
    state = build(source.rank["rng"], source.own)
    generators.put_back(state)
    return state


def _bare(name: str) -> str:
    return name.removeprefix("shared/")


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
