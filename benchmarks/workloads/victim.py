"""Workers of which rank 1 gets killed. ``victim.py DIRECTORY BYTES``: memory that rank 1 holds till then.

In the second attempt the workers say when they began, and end: what they would do next is the same
work whoever launched them.
"""

import time

FIRST = time.monotonic()
print(FIRST, flush=True)

import mmap  # noqa: E402  nothing may come before the first line
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

from record import ATTEMPT, RANK, record  # noqa: E402

OUT, SIZE = sys.argv[1], int(sys.argv[2])
STRETCH = 64 << 20


def hold(size):
    """Anonymous memory in small pages, every one of them touched: the kernel frees them one by one."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for start in range(0, size, STRETCH):
        end = min(start + STRETCH, size)
        memory[start : end : mmap.PAGESIZE] = b"\1" * len(range(start, end, mmap.PAGESIZE))
    return memory


def told_to_end(*_):
    record(OUT, "sigterm", time.monotonic())
    sys.exit(0)


record(OUT, "first", FIRST)
if ATTEMPT == 0:
    signal.signal(signal.SIGTERM, told_to_end)
    held = hold(SIZE) if SIZE and RANK == 1 else None
    record(OUT, "ready", os.getpid())
    time.sleep(300)
