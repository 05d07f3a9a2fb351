"""Which Python and packages are here; that all nodes have the same is told where they meet."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings

PACKAGES = (
    "torch",
    "torch-npu",
    "mindspore",
    "horovod",
    "numpy",
    "nvidia-nccl-cu12",
    "deepspeed",
    "transformers",
)
LEAST = (3, 10)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _run(where: Surroundings) -> Finding:
    found = ", ".join(f"{name} {number}" for name, number in versions().items())
    if sys.version_info < LEAST:
        return fail(found, "install a later Python", f"Python {LEAST[0]}.{LEAST[1]}")
    return ok(found)


CHECK = Check("python", SYSTEM, _run)
