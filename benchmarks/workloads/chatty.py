"""Writes lines at a steady rate for a while: arguments are the directory, MB/s of each worker, seconds."""

import os
import sys
import time

from record import record

directory, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
LINE = (
    b"step 123456 loss 0.1234567 lr 0.0001234 throughput 1234.5 samples/s, and so on to the end of a line\n"
)
EVERY = 0.02
chunk = LINE * max(1, round(rate * 1e6 * EVERY / len(LINE)))

record(directory, "ready", os.getpid())
begun = time.monotonic()
written = 0
while (now := time.monotonic()) < begun + seconds:
    while written < rate * 1e6 * (now - begun):
        written += os.write(1, chunk)
    time.sleep(EVERY)
record(directory, "written", written, time.monotonic())
