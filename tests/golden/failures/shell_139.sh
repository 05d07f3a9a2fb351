#!/bin/sh
# run: --no-python --max-restarts 0 sh SCRIPT
# expect: exit 139, rank 0, diagnosis code-139
exit 139
