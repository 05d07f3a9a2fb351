# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 137, rank 1, diagnosis killed
import os
import time

if os.environ["RANK"] == "1":
    os.kill(os.getpid(), 9)
time.sleep(60)
