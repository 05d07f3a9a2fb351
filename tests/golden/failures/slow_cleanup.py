# run: --nproc-per-node 3 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis none
import os
import time

if os.environ["RANK"] == "1":
    try:
        raise LookupError("no such token: <pad>")
    finally:
        open("cleaning", "w").close()
        time.sleep(60)
while not os.path.exists("cleaning"):
    time.sleep(0.01)
raise ConnectionResetError("Connection reset by peer")  # what the others see
