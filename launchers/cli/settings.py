"""Reads the options from everywhere they may come from, and remembers from where each did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError, nearest
from .options import BY_NAME, BY_SHORT, OPTIONS, Option

CONFIG_FILE = "launcher.toml"
# Set in workers, ours and torchrun's: a launcher in there is not asked to be another node of that job.
WORKER_MARKS = ("LAUNCHER_WORKER_JOB", "TORCHELASTIC_RUN_ID")


class HelpAsked(Exception):
    """``--help`` among the options."""


@dataclass(frozen=True, slots=True)
class Setting:
    value: Any
    origin: str  # "--max-restarts", "LAUNCHER_MAX_RESTARTS", "launcher.toml", "default"


class Settings:
    """Values of all options by name, and the script with its arguments."""

    def __init__(self, values: Mapping[str, Setting], script: str | None, args: Sequence[str]) -> None:
        self._values = values
        self.script, self.args = script, tuple(args)

    def __getitem__(self, name: str) -> Any:
        return self._values[name].value

    def setting(self, name: str) -> Setting:
        return self._values[name]


def resolve(argv: Sequence[str], environ: Mapping[str, str], directory: Path) -> Settings:
    """Raises UsageError for anything that is not understood."""
    flags, script, args = _read_flags(argv)
    config = flags.get("config", environ.get("LAUNCHER_CONFIG"))
    from_file = _read_config(directory / (config or CONFIG_FILE), config or CONFIG_FILE, bool(config))
    values = {option.name: _resolve_one(option, flags, environ, from_file) for option in OPTIONS}
    return Settings(values, script, args)


def _resolve_one(
    option: Option,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    from_file: Mapping[str, tuple[str, str]],
) -> Setting:
    if option.name in flags:
        return _parsed(option, flags[option.name], f"--{option.name}")
    inside = any(environ.get(mark) for mark in WORKER_MARKS)
    torchrun = "" if inside else f"PET_{option.variable}"
    for variable in filter(None, (f"LAUNCHER_{option.variable}", torchrun, option.also)):
        if environ.get(variable):
            return _parsed(option, environ[variable], variable)
    if option.name in from_file:
        text, where = from_file[option.name]
        return _parsed(option, text, where)
    return Setting(option.default, "default")


def _parsed(option: Option, text: str, origin: str) -> Setting:
    try:
        return Setting(option.parse(text), origin)
    except ValueError as error:
        what = "" if origin == f"--{option.name}" else f" (option --{option.name})"
        raise UsageError(f"{origin}{what}: {error}") from None


def _read_flags(argv: Sequence[str]) -> tuple[dict[str, str], str | None, Sequence[str]]:
    """Options up to the first word that is none: that is the script, and the rest is its own."""
    flags: dict[str, str] = {}
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if word == "--":
            return flags, *_script(argv[position:])
        if word in ("-h", "--help"):
            raise HelpAsked
        if not word.startswith("-") or word == "-":
            return flags, *_script(argv[position - 1 :])
        option, attached = find_option(word)
        if option.is_switch:
            if attached is not None:
                raise UsageError(f"--{option.name} takes no value, but was given {attached!r}")
            flags[option.name] = "on"
        elif attached is not None or position < len(argv):
            if attached is None:
                attached = argv[position]
                position += 1
            before = f"{flags[option.name]}\n" if option.repeats and option.name in flags else ""
            flags[option.name] = before + attached
        else:
            raise UsageError(f"--{option.name} needs a value", f"write --{option.name} {option.metavar}")
    return flags, None, ()


def _script(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    return (words[0], words[1:]) if words else (None, ())


def find_option(word: str, others: Sequence[str] = ()) -> tuple[Option, str | None]:
    """An option, and the value attached to it. ``others`` may have been meant as well.

    Raises UsageError where it is none.
    """
    if not word.startswith("--"):
        option = BY_SHORT.get(word[1:2])
        if option is not None:
            return option, word[2:].removeprefix("=") or None
        raise UsageError(f"unknown option {word}", "launcher --help lists all options")
    name, _, attached = word[2:].partition("=")
    name = name.replace("_", "-")
    if name not in BY_NAME:
        meant = nearest(name, [*BY_NAME, *others])
        hint = f"did you mean --{meant}?" if meant else "launcher --help lists all options."
        raise UsageError(f"unknown option --{name}", f"{hint} Options of the script go after the script.")
    return BY_NAME[name], attached if "=" in word else None


def _read_config(path: Path, shown: str, required: bool) -> dict[str, tuple[str, str]]:
    """Option name → (text, file as the user calls it). Keys are options' names, dashes or underscores."""
    if not required and not path.exists():
        return {}
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the configuration file {shown}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{shown} is not valid TOML: {error}") from None
    values = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in BY_NAME or name == "config":
            meant = nearest(name, list(BY_NAME))
            raise UsageError(f"{shown}: unknown key {key!r}", f"did you mean {meant!r}?" if meant else "")
        if BY_NAME[name].repeats and isinstance(value, list):
            value = "\n".join(map(str, value))
        if not isinstance(value, str | int | float):
            raise UsageError(
                f"{shown}: {key} is a {type(value).__name__}, but must be a number, a string or a switch"
            )
        values[name] = (str(value), shown)
    return values
