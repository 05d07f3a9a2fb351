# run: --max-restarts 0 SCRIPT
# expect: exit 5, rank 0, diagnosis none
import os
import sys
import threading
import time


def watch():
    print("watchdog: no heartbeat for 600 s, ending the process", file=sys.stderr, flush=True)
    os._exit(5)


threading.Thread(target=watch).start()
time.sleep(60)
