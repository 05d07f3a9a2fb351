"""Files that may still be made where runs are kept."""

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings

from .run_directory import existing


def _run(where: Surroundings) -> Finding:
    path = existing(where)
    disk = where.disk(path)
    if not disk.inodes:
        return skipped(f"the file system of {path} does not count them")
    required = f"more than {where.limits.inodes}"
    measured = f"{disk.free_inodes} inodes free at {path}"
    if disk.free_inodes <= where.limits.inodes:
        return warn(measured, "remove small files, or keep runs elsewhere with --run-dir", required)
    return ok(measured, required)


CHECK = Check("inodes", SYSTEM, _run)
