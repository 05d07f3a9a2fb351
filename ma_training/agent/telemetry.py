"""What a worker says of itself, read by the agent without asking it anything.

One anonymous 64 KiB page of shared memory a rank (a memfd: nothing to sweep). The worker's side,
and the layout, are in `bootstrap`. Writing a step costs the worker about a microsecond; reading
costs the worker nothing, dead or alive.
"""

import json
import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bootstrap import ERROR_AT, MAGIC, PAGE_SIZE, SECTION_AT, SECTION_SIZE, Phase, Slot


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A reading. ``phase`` is None where no bootstrap ran (yet): a program that is not Python."""

    phase: int | None = None
    exit_code: int | None = None  # of the user's script, once it has ended
    steps: int | None = None  # optimizer steps in this attempt; None where none can be counted
    error: dict[str, Any] = field(default_factory=dict)  # an exception's record
    error_at: float | None = None  # when it was raised, seconds of the monotonic clock
    answered: bool = False  # it has been asked for the exception in flight, and has looked
    step_at: float | None = None  # of the last step, seconds of the monotonic clock, as all of these are
    beats: int = 0  # commits of TrainingState
    beat_at: float | None = None
    section: str = ""  # of TrainingState
    section_at: float | None = None

    @property
    def finished(self) -> bool:
        """The script and its atexit handlers have run; what follows is the interpreter's own end."""
        return self.phase == Phase.TEARDOWN


NAME = "launcher-telemetry"


class TelemetryPage:
    def __init__(self, rank: int) -> None:
        self._fd = os.memfd_create(f"{NAME}-{rank}", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, PAGE_SIZE)
        self._open()

    @classmethod
    def of(cls, pid: int) -> "TelemetryPage | None":
        """That of a running worker, for any process of its user; None where it has none.

        Raises OSError where the worker may not be looked at, or is gone.
        """
        for path in Path(f"/proc/{pid}/fd").iterdir():
            if leads_to_page(path):
                page = cls.__new__(cls)
                page._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                page._open()
                return page
        return None

    def _open(self) -> None:
        self._map = mmap.mmap(self._fd, PAGE_SIZE)
        self._slots = memoryview(self._map).cast("Q")

    def fileno(self) -> int:
        return self._fd

    def reset(self) -> None:
        """Before a new attempt, when no process of the last one can run any more."""
        self._map[:ERROR_AT] = bytes(ERROR_AT)

    def read(self) -> Telemetry:
        slots = self._slots
        if slots[Slot.MAGIC] != MAGIC:
            return Telemetry()
        return Telemetry(
            phase=slots[Slot.PHASE],
            exit_code=slots[Slot.EXIT_CODE] - 1 if slots[Slot.EXIT_CODE] else None,
            steps=slots[Slot.STEPS] if slots[Slot.COUNTING] else None,
            error=self._error(),
            error_at=_seconds(slots[Slot.ERROR_NS]),
            answered=bool(slots[Slot.ANSWERED]),
            step_at=_seconds(slots[Slot.STEP_NS]),
            beats=slots[Slot.BEATS],
            beat_at=_seconds(slots[Slot.BEAT_NS]),
            section=self._section(),
            section_at=_seconds(slots[Slot.SECTION_NS]),
        )

    def slot(self, index: int) -> int:
        return self._slots[index] if self._slots[Slot.MAGIC] == MAGIC else 0

    def forget_behind(self) -> None:
        """Frees what was written behind the page: answers that have been read."""
        os.ftruncate(self._fd, PAGE_SIZE)

    @property
    def size(self) -> int:
        """Bytes, with what was written behind the page."""
        return os.fstat(self._fd).st_size

    def at(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def _section(self) -> str:
        name = self._map[SECTION_AT : SECTION_AT + SECTION_SIZE]
        return name.partition(b"\0")[0].decode(errors="ignore")

    def _error(self) -> dict[str, Any]:
        length = self._slots[Slot.ERROR_LENGTH]
        if not 0 < length <= PAGE_SIZE - ERROR_AT:
            return {}
        try:
            record = json.loads(self._map[ERROR_AT : ERROR_AT + length])
        except ValueError:  # overwritten by a stray write: it is the user's process
            return {}
        return record if isinstance(record, dict) else {}

    def close(self) -> None:
        self._slots.release()
        self._map.close()
        os.close(self._fd)


def leads_to_page(descriptor: Path) -> bool:
    """``descriptor``: as ``/proc/<pid>/fd/200``."""
    try:
        return str(descriptor.readlink()).startswith(f"/memfd:{NAME}")
    except OSError:  # closed meanwhile
        return False


def _seconds(nanoseconds: int) -> float | None:
    return nanoseconds / 1e9 if nanoseconds else None
