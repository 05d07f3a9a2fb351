# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis disk-full
import os
import time

if os.environ["RANK"] == "1":
    with open("/dev/full", "w", buffering=1) as file:
        file.write("a line of a checkpoint\n")
time.sleep(60)
