"""Checkpoints as people read them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ma_training.checkpoint import Cause, Entry, Rejected
from ma_training.job import format_size

HEAD = ("STEP", "EPOCH", "SIZE", "WRITTEN", "CHECKPOINT", "WHY")
LONGEST = 80  # characters of a cause
_WORDS = {
    "periodic": "periodic",
    "final": "end of the training",
    "exception": "exception",
    "sigterm": "SIGTERM",
    "sigkill": "killed by SIGKILL",
    "oom": "out of memory",
    "hang": "hang",
}


def table(root: Path, entries: Sequence[Entry], rejected: Sequence[Rejected]) -> str:
    """Those of one directory, a line each."""
    rows = [HEAD, *map(_row, entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [f"{root}\n"]
    for row in rows if entries else ():
        cells = [cell.rjust(widths[at]) if at < 3 else cell.ljust(widths[at]) for at, cell in enumerate(row)]
        lines.append("  " + "  ".join(cells).rstrip() + "\n")
    lines += [f"  {bad.path.name}  not usable: {without_path(bad.reason, bad.path)}\n" for bad in rejected]
    return "".join(lines)


def _row(entry: Entry) -> tuple[str, ...]:
    manifest = entry.manifest
    return (
        str(manifest.step),
        str(manifest.epoch),
        format_size(manifest.size),
        datetime.fromisoformat(manifest.created).astimezone().isoformat(timespec="seconds"),
        entry.path.name,
        in_words(manifest.cause),
    )


def in_words(cause: Cause) -> str:
    """Why it was written, in one line.

    >>> in_words(Cause("oom")), in_words(Cause("exception", "ValueError: a\\nb"))
    ('out of memory', 'exception: ValueError: a b')
    """
    words = _WORDS.get(cause.kind, cause.kind)
    text = "".join(char if char.isprintable() else " " for char in cause.text).strip()
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f"{words}: {text}" if text else words


def without_path(reason: str, path: Path) -> str:
    """
    >>> without_path("a/step-000000001: no manifest.json", Path("a/step-000000001"))
    'no manifest.json'
    """
    return reason.removeprefix(f"{path}/manifest.json: ").removeprefix(f"{path}: ")
