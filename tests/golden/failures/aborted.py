# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 134, rank 1, diagnosis aborted
import os
import time

if os.environ["RANK"] == "1":
    os.abort()
time.sleep(60)
