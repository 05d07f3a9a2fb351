# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 135, rank 1, diagnosis bus-error
import os
import time
import mmap

if os.environ["RANK"] == "1":
    with open("page", "wb+") as file:
        file.truncate(4096)
        memory = mmap.mmap(file.fileno(), 4096)
        file.truncate(0)
        memory[0]
time.sleep(60)
