# run: --bootstrap off --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis none
raise ValueError("seen only in the log")
