# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis none
def layer(depth):
    if depth == 0:
        raise KeyError("embedding.weight")
    layer(depth - 1)


layer(30)
