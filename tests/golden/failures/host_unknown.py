# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis host-unknown
raise OSError(
    -2, "Name or service not known"
)  # what socket raises; a resolver may hang where there is no DNS
