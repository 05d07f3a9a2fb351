"""Lines on stderr. What all ranks would say alike, rank 0 says."""

import os
import sys


def say(text: str) -> None:
    """On rank 0."""
    if os.environ.get("RANK", "0") == "0":
        say_here(text)


def say_here(text: str) -> None:
    """On whatever rank this is."""
    sys.stderr.write(f"state: {text}\n")
    sys.stderr.flush()
