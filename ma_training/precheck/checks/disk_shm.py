"""Free space in /dev/shm: the guide's ``disk-size shm``."""

from ma_training.precheck.check import GUIDE, Check
from ma_training.precheck.free_space import check_space

FIX = "start the container with a larger --shm-size (Kubernetes: an emptyDir of medium Memory)"
CHECK = Check("disk-size shm", GUIDE, check_space("/dev/shm", lambda where: where.limits.shm, FIX), item=True)
