# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 143, rank 1, diagnosis terminated
import os
import time

if os.environ["RANK"] == "1":
    os.kill(os.getpid(), 15)
    time.sleep(60)
time.sleep(60)
