"""A worker that does nothing. ``sleeper.py DIRECTORY stubborn``: rank 1 ignores SIGTERM."""

import os
import signal
import sys
import time

from record import RANK, record

if sys.argv[2:] == ["stubborn"] and RANK == 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
record(sys.argv[1], "ready", os.getpid())
time.sleep(300)
