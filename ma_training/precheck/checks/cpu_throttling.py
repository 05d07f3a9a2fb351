"""The CPU time that a cgroup allows is enough for the workers, and has not run out."""

import re

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, ok, warn
from ma_training.precheck.surroundings import Surroundings

FIX = "raise the container's CPU limit, or start fewer workers"


def allowed(where: Surroundings) -> float | None:
    """CPUs; None where nothing limits them. cgroup v2, then v1."""
    quota, _, period = where.read("/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if not quota:
        quota = where.read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
        period = where.read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit() and int(period):
        return int(quota) / int(period)
    return None


def _throttled(where: Surroundings) -> tuple[int, int]:
    """Periods in which CPU time ran out, and all periods."""
    text = where.read("/sys/fs/cgroup/cpu.stat") or where.read("/sys/fs/cgroup/cpu/cpu.stat")
    found = {name: int(value) for name, value in re.findall(r"(nr_\w+) (\d+)", text)}
    return found.get("nr_throttled", 0), found.get("nr_periods", 0)


def _run(where: Surroundings) -> Finding:
    cpus, (throttled, periods) = allowed(where), _throttled(where)
    if cpus is not None and cpus < where.job.nproc:
        return warn(f"{cpus:g} CPUs allowed for {where.job.nproc} workers", FIX, "one a worker")
    if periods >= 100 and throttled > periods / 10:
        return warn(f"CPU time ran out in {throttled} of {periods} periods", FIX, "at most one in ten")
    return ok("no limit on CPU time" if cpus is None else f"{cpus:g} CPUs allowed")


CHECK = Check("cpu-throttling", SYSTEM, _run)
