# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis file-missing
import os
import time

if os.environ["RANK"] == "1":
    open("/data/imagenet/train.csv")
time.sleep(60)
