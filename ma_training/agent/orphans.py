"""The last net under the shims: when a shim itself is killed, what it guarded comes to the agent."""

import ctypes
import os
import signal
import time
from collections.abc import Collection

from .shim import PR_SET_CHILD_SUBREAPER, children_of, descendants_of

PATIENCE = 5.0  # seconds


def become_subreaper() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_orphans(keep: Collection[int]) -> None:
    """Kills and reaps this process's descendants, except the children in ``keep`` and theirs."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        orphans = [pid for pid in children_of(os.getpid()) if pid not in keep]
        if not orphans:
            return
        for orphan in orphans:
            for pid in (orphan, *descendants_of(orphan)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass  # gone; or set-uid to someone else
            try:
                os.waitpid(orphan, os.WNOHANG)
            except ChildProcessError:  # reaped by the thread that had started it
                pass
        time.sleep(0.002)
