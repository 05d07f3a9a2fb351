"""Free space in /: the guide's ``disk-size root``."""

from ma_training.precheck.check import GUIDE, Check
from ma_training.precheck.free_space import check_space

FIX = "remove what fills it, or take a node with a larger disk; --limit root=SIZE if less will do"
CHECK = Check("disk-size root", GUIDE, check_space("/", lambda where: where.limits.root, FIX), item=True)
