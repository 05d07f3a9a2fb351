"""The event record. Field names and kinds are an interface: `docs/events.md` lists them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

VERSION = 1


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    t_wall: float  # seconds since the epoch: for people; clocks of two nodes are never compared
    t_mono: float  # seconds of this node's monotonic clock: for differences
    job: str
    node: str
    attempt: int | None = None
    rank: int | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        record: dict[str, Any] = {
            "v": VERSION,
            "t_wall": round(self.t_wall, 6),
            "t_mono": round(self.t_mono, 6),
        }
        record.update(job=self.job, attempt=self.attempt, node=self.node, rank=self.rank, kind=self.kind)
        return json.dumps(record | self.data | record, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Event":
        """The event in ``line``. Raises ValueError for a damaged one (a torn last line, after a crash)."""
        record = json.loads(line)
        if not isinstance(record, dict) or record.pop("v", None) != VERSION:
            raise ValueError(f"not an event of version {VERSION}: {line[:80]!r}")
        try:
            fixed = {
                name: record.pop(name)
                for name in ("kind", "t_wall", "t_mono", "job", "node", "attempt", "rank")
            }
        except KeyError as missing:
            raise ValueError(f"event without {missing}: {line[:80]!r}") from None
        return cls(**fixed, data=record)


class EventLog:
    """Stamps events and hands their lines on."""

    def __init__(self, job: str, node: str, write: Callable[[str], None]) -> None:
        self._job, self._node, self._write = job, node, write

    def emit(self, kind: str, *, attempt: int | None = None, rank: int | None = None, **data: Any) -> Event:
        event = Event(kind, time.time(), time.monotonic(), self._job, self._node, attempt, rank, data)
        self._write(event.to_line())
        return event
