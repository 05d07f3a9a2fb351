"""How a script is started: in how many processes, with what added to its arguments and environment."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from launchers.cli.errors import UsageError
from ma_training.job import Attempt

from .environment import Environment, Fact
from .script import Script

OUTPUTS = ("train_url", "output_url")  # arguments that name a directory for results


def _none(attempt: Attempt) -> Sequence[str]:
    return ()


class Starting(NamedTuple):
    engine: Fact[str]
    processes: Fact[int] | None = None  # of this launcher; None: as many as it has devices
    arguments: Callable[[Attempt], Sequence[str]] = _none
    variables: Mapping[str, str] = MappingProxyType({})
    outputs: tuple[Path, ...] = ()  # directories that must be there
    # (local directory, URL) of what the platform copies itself, and a launcher elsewhere does not have.
    remote_inputs: tuple[tuple[str, str], ...] = ()
    remote_outputs: tuple[tuple[str, str], ...] = ()


def plain(environment: Environment, script: Script, engine: Fact[str] | None) -> Starting:
    """One process a device, told all by its environment."""
    del environment
    if engine and engine.value != "torchrun":
        raise UsageError(
            f"{engine.origin} {engine.value}: that is a way in which ModelArts starts scripts",
            "add --platform modelarts to do so here",
        )
    return Starting(engine or Fact("torchrun", "default"), outputs=local_outputs(script, OUTPUTS))


def local_outputs(script: Script, names: Sequence[str]) -> tuple[Path, ...]:
    values = (script.given(name) for name in names)
    return tuple(Path(value) for value in values if value and "://" not in value)
