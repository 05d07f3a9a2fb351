# run: --bootstrap off --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis disk-full
import json
import os
import sys
import time

if os.environ["RANK"] == "1":  # as torch's @record does it
    message = {"message": "OSError: [Errno 28] No space left on device", "extraInfo": {"py_callstack": "..."}}
    with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
        json.dump({"message": message}, file)
    sys.exit(1)
time.sleep(60)
