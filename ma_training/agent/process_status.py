"""Questions about one process, answered from /proc."""

import os
from pathlib import Path

PF_EXITING = 0x4


def stat_fields(descriptor: int) -> list[bytes]:
    """The fields of an open stat file after the command name, which may hold spaces: [0] is the state."""
    return os.pread(descriptor, 1024, 0).rpartition(b") ")[2].split()


def exit_status(fields: list[bytes]) -> int:
    """From the last field, which is set before the memory is freed: an exit code, or -n for signal n."""
    status = int(fields[49])
    return -(status & 0x7F) if status & 0x7F else status >> 8


def is_exiting(pid: int) -> bool:
    """Whether no thread of ``pid`` can run its program any more. A main thread may end alone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return True
    for thread in threads:
        try:
            stat = Path(f"/proc/{pid}/task/{thread}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if not int(stat.rpartition(b") ")[2].split()[6]) & PF_EXITING:
            return False
    return True


def catches_signal(pid: int, number: int) -> bool:
    """Whether ``pid`` has a handler for the signal. One it has none for would, most likely, kill it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return _has_signal(status, "SigCgt", number)


def threads_that(pid: int, mask: str, number: int) -> set[int]:
    """Threads of ``pid`` that have the signal in ``mask``: SigBlk, SigPnd, ShdPnd."""
    found = set()
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            status = Path(f"/proc/{pid}/task/{thread}/status").read_text(errors="replace")
            if _has_signal(status, mask, number):
                found.add(int(thread))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _has_signal(status: str, mask: str, number: int) -> bool:
    for line in status.splitlines():
        if line.startswith(f"{mask}:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
