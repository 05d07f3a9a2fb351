"""How fast one core copies memory."""

from ma_training.precheck.check import SPEED, Check
from ma_training.precheck.finding import Finding
from ma_training.precheck.speed import shown
from ma_training.precheck.surroundings import Surroundings


def _run(where: Surroundings) -> Finding:
    return shown(where, "memory")


CHECK = Check("memory-bandwidth", SPEED, _run, full=True, seconds=60)
