"""Without a launcher: what a keeper would do, done by the training process itself."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from ma_training.checkpoint import Cause

Save = Callable[[Cause], None]
Leave = Callable[[bool], None]


class Endings:
    """Saves when an exception or SIGTERM ends the script; tidies up when it ends well.

    SIGTERM is only taken where nobody else has: a handler of the user's stays.
    """

    def __init__(self, save: Save, leave: Leave) -> None:
        self._save, self._leave = save, leave
        self._pid, self._failed = os.getpid(), False
        self._next_hook = sys.excepthook
        sys.excepthook = self._on_exception
        if threading.current_thread() is threading.main_thread() and (
            signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._on_sigterm)
        atexit.register(self._on_exit)

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        self._next_hook(kind, error, traceback)
        if os.getpid() == self._pid:  # not in a forked child
            self._failed = True
            self._save(Cause("exception", f"{kind.__name__}: {error}"[:500]))

    def _on_sigterm(self, number: int, frame: FrameType | None) -> Any:
        if os.getpid() == self._pid:
            self._save(Cause("sigterm"))
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _on_exit(self) -> None:
        if os.getpid() == self._pid:
            self._leave(self._failed)
