"""A worker that says when it began, and ends."""

import time

FIRST = time.monotonic()
print(FIRST, flush=True)

import sys  # noqa: E402  nothing may come before the first line

from record import record  # noqa: E402

record(sys.argv[1], "first", FIRST)
