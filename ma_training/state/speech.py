"""Lines on stderr. What all ranks would say alike, rank 0 says."""

import os
import sys
from pathlib import Path


def say(text: str) -> None:
    """On rank 0."""
    if os.environ.get("RANK", "0") == "0":
        say_here(text)


def say_here(text: str) -> None:
    """On whatever rank this is."""
    sys.stderr.write(f"state: {text}\n")
    sys.stderr.flush()


def shown(path: Path) -> str:
    """Short where it is below the working directory."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
