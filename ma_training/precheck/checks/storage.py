"""Directories that the job writes to can be written: by writing, for permission bits say little."""

import os
import tempfile
from pathlib import Path

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.object_store import is_url
from ma_training.precheck.surroundings import Surroundings

FIX = "see who owns it and how it is mounted; the job would end when it saves for the first time"


def _why(target: str) -> str:
    """Why it cannot be written; '' where it can. Of one that is not there yet, the one that it will be in."""
    path = Path(target).absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"precheck")
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _directories(where: Surroundings) -> list[str]:
    return [target for target in where.job.writes if not is_url(target)]


def _run(where: Surroundings) -> Finding:
    whys = {target: _why(target) for target in _directories(where)}
    bad = [f"{target}: {why}" for target, why in whys.items() if why]
    return fail("; ".join(bad), FIX) if bad else ok(f"written to and cleaned: {', '.join(whys)}")


def _applies(where: Surroundings) -> str:
    return "" if _directories(where) else "no directory is named (--storage DIR)"


CHECK = Check("storage", SYSTEM, _run, _applies, seconds=30)
