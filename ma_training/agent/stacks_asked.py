"""Asks a worker for its stacks: it prints them behind its telemetry page, where no log is in the way.

The page's memory has no end: what faulthandler writes begins after the page. The worker shares our
position in it, so that is where we set it.
"""

import os
from pathlib import Path

from .bootstrap import STACKS_SIGNAL, Slot
from .process_status import catches_signal, threads_that
from .telemetry import TelemetryPage

MOST = 4 << 20  # bytes that are read of an answer


class StacksAsked:
    """Of one worker."""

    def __init__(self, page: TelemetryPage) -> None:
        self._page = page
        self._blocking: set[int] = set()  # threads that had blocked the signal before

    @property
    def main_thread(self) -> int:
        return self._page.slot(Slot.THREAD)

    def ask(self, pid: int) -> str:
        """Sends the signal; returns why not, where it cannot be answered."""
        number = self._page.slot(Slot.STACKS_FD)
        if not number or self._page.slot(Slot.PID) != pid or not catches_signal(pid, STACKS_SIGNAL):
            return "no handler for the signal"
        try:
            where = str(Path(f"/proc/{pid}/fd/{number}").readlink())
        except OSError as error:
            return f"its descriptor {number} is gone: {error.strerror}"
        if not where.startswith("/memfd:launcher-telemetry"):
            return f"the script has made {where} of descriptor {number}"
        self._blocking = threads_that(pid, "SigBlk", STACKS_SIGNAL)
        self._page.clear_behind()
        try:
            os.kill(pid, STACKS_SIGNAL)
        except OSError as error:
            return error.strerror or "it cannot be signalled"
        return ""

    def answer(self, pid: int) -> str | None:
        """What it has printed, once its handler has returned."""
        if threads_that(pid, "ShdPnd", STACKS_SIGNAL) or threads_that(pid, "SigPnd", STACKS_SIGNAL):
            return None
        # While the handler runs, its thread has the signal blocked.
        if threads_that(pid, "SigBlk", STACKS_SIGNAL) - self._blocking:
            return None
        return self._page.behind(MOST).decode(errors="replace") or None
