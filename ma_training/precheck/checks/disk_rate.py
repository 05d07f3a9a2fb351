"""How fast a file is written and flushed where runs are kept."""

from ma_training.precheck.check import SPEED, Check
from ma_training.precheck.finding import Finding
from ma_training.precheck.speed import shown
from ma_training.precheck.surroundings import Surroundings

from .run_directory import existing


def _run(where: Surroundings) -> Finding:
    return shown(where, "disk", str(existing(where)))


CHECK = Check("disk-rate", SPEED, _run, full=True, seconds=60)
