"""The command line. The first word decides; what a command needs is imported when it is called."""

import os
import sys
from collections.abc import Sequence

# Each is a module of its name here, with main(words) -> exit code.
COMMANDS = (
    *("run", "env", "config", "coordinator", "ckpt", "drill", "dump", "check"),
    *("cp", "sync", "ls"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_standard_streams()
    from .errors import UsageError

    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `launcher ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13
    except UsageError as error:
        return error.say()
    except KeyboardInterrupt:  # before there was anything to end
        sys.stderr.write("launcher: interrupted\n")
        return 130


def _open_standard_streams() -> None:
    """Closed ones (``>&-``) would be taken by the next file that is opened, and written to."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        from .help import text

        sys.stdout.write(text())
        return 0 if words else 64
    if words[0] == "--version":
        from ma_training import __version__

        sys.stdout.write(f"launcher {__version__}\n")
        return 0
    from importlib import import_module

    from .settings import HelpAsked

    name = words[0] if words[0] in COMMANDS else "run"
    command = import_module(f".{name}", __name__)
    try:
        return command.main(words[1:] if words[0] == name else words)
    except HelpAsked:
        return _dispatch(["--help"])
