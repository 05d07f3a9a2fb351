"""What ``launcher drill`` is asked for: its own options, taken out from among those of the launcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchers.platforms.environment import Environment
from launchers.platforms.placement import place

from .command import resolve_command
from .errors import UsageError
from .run import script_of
from .settings import HelpAsked, find_option, resolve

STEPS = 20
_SWITCHES = ("json", "keep")
_NUMBERS = {"steps": 2, "kill-at": 1, "kill-rank": 0}  # and the least each may be


@dataclass(frozen=True, slots=True)
class Drill:
    """What is to be run, and where the kill falls."""

    steps: int
    kill_at: int  # after this step
    kill_rank: int
    as_json: bool
    keep: bool
    options: tuple[str, ...]  # of the launcher
    script: tuple[str, ...]  # and its arguments
    world_size: int

    @property
    def name(self) -> str:
        """Of the script, as it was called."""
        return next(word for word in self.script if word != "--")


def read(words: Sequence[str], environ: Mapping[str, str], directory: Path) -> Drill:
    """Raises UsageError for whatever ``launcher run`` would refuse, and for a kill that cannot be."""
    own, options, script = _split(words)
    if not script:
        raise UsageError("no script given", "write launcher drill [options] train.py [arguments]")
    steps = own.get("steps", STEPS)
    world_size = _world_size([*options, *script], environ, directory)
    drill = Drill(
        steps,
        own.get("kill-at", steps // 2),
        own.get("kill-rank", 0),
        "json" in own,
        "keep" in own,
        tuple(options),
        tuple(script),
        world_size,
    )
    _check(drill)
    return drill


def _check(drill: Drill) -> None:
    if not drill.kill_at < drill.steps:
        raise UsageError(
            f"--kill-at {drill.kill_at} is not before the last step, {drill.steps}",
            "name an earlier one, or more steps with --steps",
        )
    if drill.kill_rank >= drill.world_size:
        raise UsageError(f"--kill-rank {drill.kill_rank}: the ranks are 0 to {drill.world_size - 1}")


def _world_size(words: Sequence[str], environ: Mapping[str, str], directory: Path) -> int:
    settings = resolve(words, environ, directory)
    resolve_command(settings)
    if settings["dry-run"]:
        raise UsageError("launcher drill runs the script: there is no --dry-run of it")
    topology = place(settings, Environment(environ, settings.args), script_of(settings)).topology
    if topology.nnodes > 1:
        raise UsageError(
            f"launcher drill runs on one node, but this job has {topology.nnodes}",
            "add --nnodes 1, or --platform local where a platform says so",
        )
    return topology.world_size


def _split(words: Sequence[str]) -> tuple[dict[str, int], list[str], list[str]]:
    """Our own options, those of the launcher, and from the script on. As `settings` reads them."""
    own: dict[str, int] = {}
    options: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        if word in ("-h", "--help"):
            raise HelpAsked
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("_", "-")
        if word.startswith("--") and name in _SWITCHES:
            own[name] = _switch(name, equals)
        elif word.startswith("--") and name in _NUMBERS:
            own[name] = _number(name, value if equals or not rest else rest.pop(0))
        else:
            option, attached = find_option(word, (*_SWITCHES, *_NUMBERS))
            options.append(word)
            if not option.is_switch and attached is None and rest:
                options.append(rest.pop(0))
    return own, options, rest


def _switch(name: str, equals: str) -> int:
    if equals:
        raise UsageError(f"--{name} takes no value")
    return 1


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < _NUMBERS[name]:
        raise UsageError(f"--{name}: {text!r} is not a whole number of at least {_NUMBERS[name]}")
    return int(text)
