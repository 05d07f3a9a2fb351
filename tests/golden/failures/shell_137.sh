#!/bin/sh
# run: --no-python --max-restarts 0 sh SCRIPT
# expect: exit 137, rank 0, diagnosis code-137
sh -c 'kill -9 $$'
exit $?
