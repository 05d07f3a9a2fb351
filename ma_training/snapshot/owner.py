"""A process as one number that can be stored at once: its pid, and when it started.

Pids are used again, and the memory that holds such a number outlives its process. Both sides must be in
one pid namespace; where they are not, a living process looks dead, and what it pinned may be overwritten
under it, which it finds out (`Stored.unpin`).
"""

import os
from pathlib import Path

_TICKS_BITS = 42  # of 10 ms each: 1,390 years after boot; leaves 22 for the pid, Linux' maximum
_TICKS = (1 << _TICKS_BITS) - 1


def this_process() -> int:
    return os.getpid() << _TICKS_BITS | (_started(os.getpid()) or 0)


def is_this_process(owner: int) -> bool:
    """By pid alone, for each step: a forked child is another."""
    return owner >> _TICKS_BITS == os.getpid()


def is_alive(owner: int) -> bool:
    """Whether the process runs. 0 is no process; one that only waits to be reaped does not count."""
    started = _started(owner >> _TICKS_BITS) if owner else None
    return started is not None and started == owner & _TICKS


def pid_of(owner: int) -> int:
    return owner >> _TICKS_BITS


def _started(pid: int) -> int | None:
    """Ticks after boot; None for a process that is gone or ends."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b") ")[2].split()
    return None if fields[0] in b"ZX" else int(fields[19]) & _TICKS
