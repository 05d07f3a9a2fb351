# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis syntax
def train(:
    pass
