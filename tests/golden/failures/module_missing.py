# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis module-missing
import no_such_package

print(no_such_package)
