"""A GPU is there where the job wants some: the guide's ``gpu-check``."""

from ma_training.devices import FormatError
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GUIDE, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings

FIX = "start the container with GPUs (--gpus all), and see that nvidia-smi runs in it"


def _run(where: Surroundings) -> Finding:
    nodes = where.gpus
    try:
        seen = len(gpu_report.report(where).gpus)
    except FormatError as error:
        if gpu_report.answer(where).problem == "missing" and nodes:
            return ok(f"{nodes} GPUs in /dev; no nvidia-smi in this image", "at least one")
        return fail(f"no GPU detected: {error}", FIX, "at least one", ("A050931",))
    if not seen:
        return fail("no GPU detected: nvidia-smi lists none", FIX, "at least one", ("A050931",))
    return ok(f"{seen} GPUs", "at least one")


CHECK = Check("gpu-check", GUIDE, _run, gpu_report.wanted, hardware=True, item=True)
