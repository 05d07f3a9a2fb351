"""What the kernel said about a process, where this user may read it."""

import os
import re
from collections.abc import Collection
from pathlib import Path

KMSG = Path("/dev/kmsg")
DEVICE_FAULTS = re.compile(r"NVRM: Xid|EDAC .*(CE|UE) |I/O error|Machine [Cc]heck")
RECORDS = 20_000  # more than any kernel's buffer holds


def kernel_lines(pids: Collection[int], since: float, path: Path = KMSG) -> list[str]:
    """Lines that name one of ``pids`` or a fault of a device, after ``since`` seconds of the monotonic clock.

    Empty where the log cannot be read: that is common in containers.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return [text for text in _texts(descriptor, since) if _concerns(text, pids)]
    finally:
        os.close(descriptor)


def _concerns(text: str, pids: Collection[int]) -> bool:
    return bool(DEVICE_FAULTS.search(text)) or any(re.search(rf"\b{pid}\b", text) for pid in pids)


def _texts(descriptor: int, since: float) -> list[str]:
    """Records look like ``6,339,5140900,-;text`` with the time in microseconds since the start."""
    texts = []
    for _ in range(RECORDS):
        try:
            record = os.read(descriptor, 8192)
        except BrokenPipeError:  # overwritten while we read: the next read goes on after it
            continue
        except OSError:  # EAGAIN: that was all
            break
        head, _, text = record.decode(errors="replace").partition(";")
        fields = head.split(",")
        if not record or len(fields) < 3:
            break
        if fields[2].isdigit() and int(fields[2]) / 1e6 >= since - 1.0:  # its clock and ours differ a little
            texts.append(text.splitlines()[0] if text else "")
    return texts
