# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis none
try:
    {}["learning_rate"]
except KeyError as missing:
    raise RuntimeError("the configuration is incomplete") from missing
