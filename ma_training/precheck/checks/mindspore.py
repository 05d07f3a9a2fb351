"""MindSpore's own check of its installation, which multiplies on each kind of device."""

import sys

from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings

_ASK = "import mindspore; mindspore.run_check()"


def _run(where: Surroundings) -> Finding:
    said = where.ask((sys.executable, "-c", _ASK))
    if said.ok and "successfully" in said.text:
        return ok("mindspore.run_check() is content")
    last = (said.text.strip().splitlines() or [said.describe()])[-1]
    return fail(
        f"mindspore.run_check(): {last[:200]}", "make MindSpore, CANN and the driver of one release fit"
    )


def _applies(where: Surroundings) -> str:
    if where.job.framework != "mindspore":
        return "not a MindSpore job"
    from importlib.util import find_spec

    return "" if find_spec("mindspore") else "MindSpore is not installed"


CHECK = Check("mindspore", NPU, _run, _applies, full=True, seconds=120)
