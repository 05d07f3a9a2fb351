"""Asks a worker for its stacks, and for its flight recorder: both come in memory that it shares with us.

The stacks it prints behind its telemetry page, where no log is in the way. The page's memory has no
end: what faulthandler writes begins after the page. The worker shares our position in that file, so
it is set here.
"""

import os
from pathlib import Path

from .bootstrap import PAGE_SIZE, RECORD_AT, RECORD_SIZE, STACKS_SIGNAL, Slot
from .process_status import catches_signal, threads_that
from .telemetry import TelemetryPage

MOST = 4 << 20  # bytes that are read of stacks


class StacksAsked:
    """One worker's stacks: by a signal."""

    def __init__(self, page: TelemetryPage) -> None:
        self._page = page
        self._blocking: set[int] = set()  # threads that had blocked the signal before

    @property
    def main_thread(self) -> int:
        """As `threading.get_ident` has it there."""
        return self._page.slot(Slot.THREAD)

    def ask(self, pid: int) -> str:
        """Sends the signal; returns why not, where it cannot be answered."""
        number = self._page.slot(Slot.STACKS_FD)
        if not number or self._page.slot(Slot.PID) != pid or not catches_signal(pid, STACKS_SIGNAL):
            return "it has no handler for the signal"
        where = _descriptor(pid, number)
        if not where.startswith("/memfd:launcher-telemetry"):
            return f"its descriptor {number} is {where or 'gone'}"
        self._blocking = threads_that(pid, "SigBlk", STACKS_SIGNAL)
        self._page.clear_behind()
        try:
            os.kill(pid, STACKS_SIGNAL)
        except OSError as error:
            return f"it cannot be signalled: {error.strerror}"
        return ""

    def answer(self, pid: int) -> str | None:
        """What it has printed, once its handler has returned."""
        if threads_that(pid, "ShdPnd", STACKS_SIGNAL) or threads_that(pid, "SigPnd", STACKS_SIGNAL):
            return None
        # While the handler runs, its thread has the signal blocked.
        if threads_that(pid, "SigBlk", STACKS_SIGNAL) - self._blocking:
            return None
        return self._page.at(PAGE_SIZE, MOST).partition(b"\0")[0].decode(errors="replace") or None


class RecordAsked:
    """One worker's flight recorder: a thread there waits for a byte in a pipe."""

    def __init__(self, page: TelemetryPage) -> None:
        self._page = page
        self._before = 0

    def ask(self, pid: int) -> str:
        """Writes the byte; returns why not, where there is no one to read it."""
        number = self._page.slot(Slot.RECORDER_FD)
        if not number or self._page.slot(Slot.PID) != pid:
            return "it has done no step yet"
        if not _descriptor(pid, number).startswith("pipe:"):
            return f"its descriptor {number} is no pipe any more"
        self._before = self._page.slot(Slot.RECORDS)
        try:
            pipe = os.open(f"/proc/{pid}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return f"its pipe cannot be opened: {error.strerror}"
        try:
            os.write(pipe, b"?")
        except OSError as error:  # full: it has not read for long
            return f"its pipe cannot be written: {error.strerror}"
        finally:
            os.close(pipe)
        return ""

    def answer(self, pid: int) -> str | None:
        """JSON, or '' where its torch has no recorder; None as long as it has not answered."""
        if self._page.slot(Slot.RECORDS) == self._before:
            return None
        size = min(self._page.slot(Slot.RECORD_LENGTH), RECORD_SIZE)
        return self._page.at(RECORD_AT, size).decode(errors="replace")


def _descriptor(pid: int, number: int) -> str:
    """What it leads to; '' where it is closed, or not ours to see."""
    try:
        return str(Path(f"/proc/{pid}/fd/{number}").readlink())
    except OSError:
        return ""
