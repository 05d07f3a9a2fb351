"""The last lines of a log, fit to be shown anywhere."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

READ = 1 << 16  # bytes from a log's end
LONGEST = 200  # characters of a line
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(line: str) -> str:
    """Without colours, cursor movements and other bytes that would act on a terminal."""
    line = _ESCAPES.sub("", line).rstrip("\r")
    line = _CONTROL.sub("�", line.rpartition("\r")[2].replace("\t", "    "))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def tail(path: Path, lines: int) -> list[str]:
    """At most ``lines`` last lines that are not empty; none where the log cannot be read."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - READ))
            data = log.read(READ)
    except OSError:
        return []
    found = [clean(line) for line in data.decode(errors="replace").split("\n")]
    return [line for line in found if line.strip()][-lines:]


def tails(paths: Sequence[str], lines: int) -> list[str]:
    """Of several logs of one rank the last that says anything: stderr comes after stdout."""
    return next((found for path in reversed(paths) if (found := tail(Path(path), lines))), [])
