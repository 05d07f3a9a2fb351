# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis none
import os
import time

if os.environ["RANK"] == "1":
    raise SystemExit("configuration: lr is missing")
time.sleep(60)
