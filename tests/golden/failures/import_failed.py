# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis import-failed
from sys import no_such_name

print(no_such_name)
