# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis permission
import os
import time

if os.environ["RANK"] == "1":
    raise PermissionError(13, "Permission denied", "/data/train.csv")  # root may read everything
time.sleep(60)
