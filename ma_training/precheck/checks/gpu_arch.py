"""The installed torch has code for these GPUs."""

import json
import sys

from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped
from ma_training.precheck.surroundings import Surroundings

# Importing torch costs seconds, and may hang in the driver: in a process of its own.
_ASK = (
    "import json, torch; print(json.dumps([torch.__version__, torch.cuda.get_arch_list(), "
    "[list(torch.cuda.get_device_capability(i)) for i in range(torch.cuda.device_count())]]))"
)


def judge(version: str, arches: list[str], capabilities: list[list[int]]) -> Finding:
    """``sm_90`` runs on capability 9.0 and on later ones of major 9; ``compute_90`` on all later ones."""
    lacking = sorted(
        {f"{major}.{minor}" for major, minor in capabilities if not _covered(arches, major, minor)}
    )
    have = ", ".join(arches) or "none: it was built without CUDA"
    if lacking:
        return fail(
            f"torch {version} has no code for compute capability {', '.join(lacking)} (it has {have})",
            "install a torch that was built for this GPU",
        )
    return ok(f"torch {version}: {have}")


def _covered(arches: list[str], major: int, minor: int) -> bool:
    for arch in arches:
        kind, _, digits = arch.partition("_")
        number = int("".join(filter(str.isdigit, digits)) or 0)
        wanted = major * 10 + minor
        if number <= wanted and (kind == "compute" or number // 10 == major):
            return True
    return False


def _run(where: Surroundings) -> Finding:
    said = where.ask((sys.executable, "-c", _ASK))
    if not said.ok:
        return skipped("torch does not import here: " + (said.text.strip().splitlines() or ["no answer"])[-1])
    try:
        version, arches, capabilities = json.loads(said.text.strip().splitlines()[-1])
    except ValueError:
        return skipped("torch has not answered")
    return judge(version, arches, capabilities)


CHECK = Check("gpu-arch", GPU, _run, gpu_report.wanted, full=True, seconds=60)
