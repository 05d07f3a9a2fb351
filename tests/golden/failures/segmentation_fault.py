# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 139, rank 1, diagnosis segmentation-fault
import os
import time
import ctypes

if os.environ["RANK"] == "1":
    ctypes.string_at(0)
time.sleep(60)
