# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis recursion
def descend(depth):
    return descend(depth + 1)


descend(0)
