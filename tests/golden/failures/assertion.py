# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis assertion
import os
import time

if os.environ["RANK"] == "1":
    batch = []
    assert batch, "an empty batch"
time.sleep(60)
