# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis too-many-files
import os
import time
import resource

if os.environ["RANK"] == "1":
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = [open("/dev/null") for _ in range(100)]
time.sleep(60)
