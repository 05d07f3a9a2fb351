# run: --nproc-per-node 2 --max-restarts 2 SCRIPT
# expect: exit 12, rank 0, diagnosis none
import os
import sys
import time

if os.environ["RANK"] == "0":
    sys.exit(10 + int(os.environ["TORCHELASTIC_RESTART_COUNT"]))
time.sleep(60)
