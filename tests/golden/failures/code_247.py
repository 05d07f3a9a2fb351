# run: --max-restarts 0 SCRIPT
# expect: exit 247, rank 0, diagnosis code-247
import sys

sys.exit(-9)  # what a script does with the code of a child that was killed
