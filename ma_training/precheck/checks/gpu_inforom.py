"""The infoROM, where a GPU keeps its own record of errors, is whole."""

from ma_training.devices.nvidia_smi import INFOROM
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped
from ma_training.precheck.surroundings import Surroundings

CORRUPTED = 14  # nvidia-smi's exit code


def _run(where: Surroundings) -> Finding:
    said = gpu_report.answer(where)
    if found := INFOROM.search(said.text):
        return _bad(found[0])
    if said.code == CORRUPTED:
        return _bad(f"nvidia-smi exited with code {CORRUPTED}")
    return skipped(f"not known: {said.describe()}") if not said.ok else ok("no warning")


def _bad(what: str) -> Finding:
    return fail(what, "have the infoROM rewritten, or the GPU replaced", "no warning", ("A050148",))


CHECK = Check("gpu-inforom", GPU, _run, gpu_report.wanted, hardware=True)
