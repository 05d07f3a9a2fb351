# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis none
raise ValueError("tensor(" + "0.123, " * 100_000 + ")")
