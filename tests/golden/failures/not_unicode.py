# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis none
raise ValueError("a lone surrogate \ud83d, a new\nline and \x1b[31mred\x1b[0m")
