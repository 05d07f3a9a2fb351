"""Limits of processes where InfiniBand is used: the guide's ``ulimit``."""

from ma_training.precheck.check import GUIDE, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.machine import UNLIMITED
from ma_training.precheck.surroundings import Surroundings

# As `ulimit -a` names them; its unit for the first and third is KiB.
_LIMITS = (
    ("max locked memory", "MEMLOCK", "memlock", 1024),
    ("open files", "NOFILE", "nofile", 1),
    ("stack size", "STACK", "stack", 1024),
    ("max user processes", "NPROC", "nproc", 1),
)


def _run(where: Surroundings) -> Finding:
    low, seen = [], []
    for title, name, field, unit in _LIMITS:
        wanted, found = getattr(where.limits, field), where.rlimit(name)
        seen.append(f"{title} {_shown(found, unit)}")
        if found < UNLIMITED and found // unit <= wanted:
            low.append(f"{title} is {found // unit}, which is not more than {wanted}")
    if low:
        fix = "raise them where the container is started (docker --ulimit, limits.conf)"
        judge = fail if where.job.guided else warn
        return judge("; ".join(low), fix, "what InfiniBand needs")
    return ok("; ".join(seen))


def _shown(value: int, unit: int) -> str:
    return "unlimited" if value >= UNLIMITED else str(value // unit)


def _applies(where: Surroundings) -> str:
    if where.environ.get("NCCL_IB_DISABLE") == "1":
        return "NCCL_IB_DISABLE=1: InfiniBand is not used"
    there = any(where.path("/sys/class/infiniband").glob("*"))
    return "" if there else "no InfiniBand here"


CHECK = Check("ulimit", GUIDE, _run, _applies, item=True)
