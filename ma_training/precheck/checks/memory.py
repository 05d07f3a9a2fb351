"""What workers may take of memory, by the machine and by each cgroup, with room for snapshots."""

from ma_training.devices import memory_limits
from ma_training.job import format_size
from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings

FIX = "ask for more memory, or start fewer workers; --snapshot disk keeps training state out of memory"


def _run(where: Surroundings) -> Finding:
    try:
        limits = memory_limits(where.path("/proc"), where.path("/sys/fs/cgroup"))
    except OSError as error:
        return skipped(f"{error.filename} cannot be read: {error.strerror}")
    tightest = min(limits, key=lambda limit: limit.left)
    needed = where.limits.memory * where.job.nproc
    required = f"{format_size(needed)} for {where.job.nproc} workers, and twice their state for snapshots"
    measured = f"{format_size(tightest.left)} left of {tightest.what} ({format_size(tightest.limit)})"
    return ok(measured, required) if tightest.left >= needed else warn(measured, FIX, required)


CHECK = Check("memory", SYSTEM, _run)
