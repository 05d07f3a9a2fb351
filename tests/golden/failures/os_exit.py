# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 3, rank 1, diagnosis none
import os
import time

if os.environ["RANK"] == "1":
    print("leaving without a word of Python's", flush=True)
    os._exit(3)
time.sleep(60)
