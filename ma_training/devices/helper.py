"""Asks drivers in a process of its own: a call that hangs in the kernel hangs this process alone.

For each line on stdin one line of JSON on stdout: {"devices": [...], "errors": [...]}. Ends with stdin.
"""

import dataclasses
import json
import sys
from pathlib import Path


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    if str(root) not in sys.path:  # started with -I, from a source tree
        sys.path.insert(0, str(root))
    for _ in sys.stdin:
        sys.stdout.write(json.dumps(_answer()) + "\n")
        sys.stdout.flush()


def _answer() -> dict[str, list[object]]:
    from ma_training.devices.count import has_gpus, has_npus
    from ma_training.devices.npu import read_npus
    from ma_training.devices.nvml import read_gpus
    from ma_training.devices.reading import FormatError

    devices: list[object] = []
    errors: list[object] = []
    for there, read in ((has_gpus, read_gpus), (has_npus, read_npus)):
        if not there():
            continue
        try:
            devices += map(dataclasses.asdict, read())
        except FormatError as error:
            errors.append(str(error))
    return {"devices": devices, "errors": errors}


if __name__ == "__main__":
    main()
