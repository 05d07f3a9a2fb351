"""Where runs are kept can be written, and has room."""

import os
import tempfile
from pathlib import Path

from ma_training.job import format_size
from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

FIX = "choose another place with --run-dir DIR"


def existing(where: Surroundings) -> Path:
    """The nearest directory that there is already."""
    path = where.job.run_base.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _run(where: Surroundings) -> Finding:
    path = existing(where)
    try:
        with tempfile.TemporaryFile(dir=path) as file:  # no permission bit says what a file system allows
            file.write(b"precheck")
            os.fsync(file.fileno())
    except OSError as error:
        return fail(f"{path} cannot be written: {error.strerror}", FIX)
    free = where.disk(path).free
    required = f"more than {format_size(where.limits.run_free)} free"
    measured = f"{path} can be written, {format_size(free)} free"
    return ok(measured, required) if free > where.limits.run_free else warn(measured, FIX, required)


CHECK = Check("run-directory", SYSTEM, _run)
