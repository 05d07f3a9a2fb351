# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 132, rank 1, diagnosis illegal-instruction
import os
import time

if os.environ["RANK"] == "1":
    os.kill(os.getpid(), 4)
time.sleep(60)
