"""Finds what is to be run, and refuses what cannot be."""

import os
from pathlib import Path

from ma_training.job import Command

from .errors import UsageError, nearest
from .settings import Settings


def resolve_command(settings: Settings) -> Command:
    """Raises UsageError where the script, module or program cannot be run."""
    assert settings.script is not None
    script, args = settings.script, settings.args
    if settings["module"] and settings["no-python"]:
        raise UsageError("--module and --no-python exclude each other")
    if settings["no-python"]:
        return Command("program", _program(script), args)
    if settings["module"]:
        _check_module(script)
        return Command("module", script, args)
    _check_script(script)
    return Command("script", script, args)


def _program(name: str) -> str:
    import shutil

    found = shutil.which(name)
    if found is None:
        where = "on PATH" if os.sep not in name else "there, or it is not executable"
        raise UsageError(f"cannot run {name}: no such program {where}")
    with open(found, "rb") as program:
        if program.read(4)[:2] not in (b"#!", b"\x7fE"):
            raise UsageError(
                f"{name} is no program: it has no #! line", f"name its interpreter: --no-python sh {name}"
            )
    return name


def _check_module(name: str) -> None:
    import importlib.util
    import sys

    top = name.partition(".")[0]
    if top in sys.modules:
        return
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        found = None
    finally:
        del sys.path[0]
    if found is None:
        raise UsageError(f"no module named {top} (from {os.getcwd()})", "a file is run without --module")


def _check_script(script: str) -> None:
    path = Path(script)
    if not path.exists():
        raise UsageError(f"no such script: {script} (in {os.getcwd()})", _similar(path))
    if path.is_dir():
        raise UsageError(f"{script} is a directory", "name the script in it, or use -m for a package")
    if not path.is_file():  # reading a pipe to check it would leave nothing for the worker
        raise UsageError(f"{script} is not a file", "write the script to a file first")
    try:
        with path.open("rb") as source:
            start = source.read(256)
    except OSError as error:
        raise UsageError(f"cannot read the script {script}: {error.strerror}") from None
    first_line = start.partition(b"\n")[0]
    if start.startswith(b"\x7fELF") or (first_line.startswith(b"#!") and b"python" not in first_line):
        raise UsageError(f"{script} is not a Python script", "add --no-python to run it as a program")


def _similar(path: Path) -> str:
    try:
        others = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return ""
    meant = nearest(path.name, others)
    return f"did you mean {path.parent / meant}?" if meant else ""
