"""A crash does not fill the disk with core files."""

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, ok, warn
from ma_training.precheck.machine import UNLIMITED
from ma_training.precheck.surroundings import Surroundings


def _run(where: Surroundings) -> Finding:
    pattern = where.read("/proc/sys/kernel/core_pattern").strip()
    if pattern.startswith("|"):
        return ok("core files go to a program of the host")
    size = where.rlimit("CORE")
    if not size:
        return ok("no core files are written")
    most = "of any size" if size >= UNLIMITED else f"up to {size >> 20} MiB"
    return warn(
        f"each crash of a worker writes a core file {most} to {pattern or 'its working directory'}",
        "ulimit -c 0 before the launcher, unless the core file is wanted",
    )


CHECK = Check("core-limit", SYSTEM, _run)
