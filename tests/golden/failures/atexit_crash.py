# run: --max-restarts 0 SCRIPT
# expect: exit 134, rank 0, diagnosis aborted
import atexit
import os

atexit.register(os.abort)
print("trained")
