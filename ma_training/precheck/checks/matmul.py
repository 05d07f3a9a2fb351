"""How fast matrices are multiplied, by the first device or by the CPUs."""

from ma_training.precheck.check import SPEED, Check
from ma_training.precheck.finding import Finding
from ma_training.precheck.speed import shown
from ma_training.precheck.surroundings import Surroundings


def _run(where: Surroundings) -> Finding:
    return shown(where, "matmul")


CHECK = Check("matmul", SPEED, _run, full=True, seconds=60)
