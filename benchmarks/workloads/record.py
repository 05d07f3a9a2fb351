"""How a launched script tells the benchmark what happened: a small file for each fact.

Standard output would not do: a launcher may show one worker's lines, delay them, or prefix them.
"""

import os

RANK = int(os.environ["RANK"])
ATTEMPT = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))  # workers started by hand have none


def record(directory, kind, *values):
    """Whole or not at all: the file is renamed into its place."""
    path = f"{directory}/{kind}.{ATTEMPT}.{RANK}"
    with open(path + ".part", "w") as file:
        file.write(" ".join(map(repr, values)))
    os.replace(path + ".part", path)  # noqa: PTH105  pathlib would cost each worker 10 ms
