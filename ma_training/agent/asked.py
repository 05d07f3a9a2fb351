"""Asks a worker for its stacks, and for its flight recorder: both come in memory that it shares with us.

The stacks it prints behind its telemetry page, where no log is in the way. Its position in that
memory only grows, and says where an answer begins and ends: so two may ask at once (the watchdog,
and `launcher dump`), and what has been read can be freed.
"""

import os
from pathlib import Path

from .bootstrap import RECORD_AT, RECORD_SIZE, STACKS_SIGNAL, Slot
from .process_status import catches_signal, threads_that
from .telemetry import TelemetryPage, leads_to_page

MOST = 4 << 20  # bytes that are read of stacks


class StacksAsked:
    """One worker's stacks: by a signal. Its forks answer as well, one at a time: all share one position."""

    def __init__(self, page: TelemetryPage) -> None:
        self._page = page
        self._blocking: set[int] = set()  # threads that had blocked the signal before
        self._begins = 0

    @property
    def main_thread(self) -> int:
        """As `threading.get_ident` has it there."""
        return self._page.slot(Slot.THREAD)

    def ask(self, pid: int) -> str:
        """Sends the signal; returns why not, where it cannot be answered."""
        number = self._page.slot(Slot.STACKS_FD)
        if not number:
            return "it does not run under the launcher's bootstrap"
        if not catches_signal(pid, STACKS_SIGNAL):
            return "it has no handler for the signal"
        if not leads_to_page(Path(f"/proc/{pid}/fd/{number}")):
            return f"the script has closed its descriptor {number}"
        self._blocking = threads_that(pid, "SigBlk", STACKS_SIGNAL)
        self._page.forget_behind()
        self._begins = _position(pid, number)
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
        # Where it has ended since: what is there.
        ends = _position(pid, self._page.slot(Slot.STACKS_FD)) or self._page.size
        text = self._page.at(self._begins, min(ends - self._begins, MOST)) if ends > self._begins else b""
        return text.replace(b"\0", b"").decode(errors="replace") or None


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
        if not _is_pipe(Path(f"/proc/{pid}/fd/{number}"), self._page.slot(Slot.RECORDER_PIPE)):
            return f"the script has closed its descriptor {number}"
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


def _is_pipe(descriptor: Path, inode: int) -> bool:
    """That one, and not another which the script has made under its number."""
    try:
        return str(descriptor.readlink()) == f"pipe:[{inode}]"
    except OSError:
        return False


def _position(pid: int, number: int) -> int:
    """Where the next byte that it writes goes; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/fdinfo/{number}").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
