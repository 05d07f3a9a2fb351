"""Free space in /cache: the guide's ``disk-size cache``."""

from ma_training.precheck.check import GUIDE, Check
from ma_training.precheck.free_space import check_space

FIX = "remove older checkpoints and data from /cache, or take a flavour with a larger one"
CHECK = Check(
    "disk-size cache", GUIDE, check_space("/cache", lambda where: where.limits.cache, FIX), item=True
)
