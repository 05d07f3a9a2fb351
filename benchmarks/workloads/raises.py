"""Rank 1 raises, the others wait for what becomes of it."""

import os
import sys
import time

from record import RANK, record

record(sys.argv[1], "ready", os.getpid())
if RANK == 1:
    time.sleep(0.5)
    record(sys.argv[1], "raised", time.monotonic())
    raise ValueError("the batch has no labels")
time.sleep(60)
