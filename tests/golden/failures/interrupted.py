# run: --max-restarts 0 SCRIPT
# expect: exit 130, rank 0, diagnosis none
raise KeyboardInterrupt
