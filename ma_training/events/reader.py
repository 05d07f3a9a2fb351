"""Reading what happened, from every node's file."""

import heapq
from collections.abc import Iterator
from pathlib import Path

from .record import Event


def _read_file(path: Path) -> Iterator[Event]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield Event.from_line(line)
            except ValueError:
                continue  # a line torn by a crash; the next agent's lines follow it


def read_events(directory: Path) -> Iterator[Event]:
    """All events under ``directory``, merged by wall time; within a node in the order written."""
    files = sorted(directory.glob("*.ndjson"))
    return heapq.merge(*(_read_file(path) for path in files), key=lambda event: event.t_wall)
