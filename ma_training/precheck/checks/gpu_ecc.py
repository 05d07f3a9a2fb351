"""Memory errors of GPUs, by the guide's levels.

L1 corrected: nothing happens. L2 uncorrected: that program is damaged, a new one is not.
L3 not contained (Xid 95): reset the GPU or restart the node. L4: the GPU is to be replaced.
"""

from ma_training.devices.nvidia_smi import GpuHealth, SmiReport
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

CODE = "A050101"
REPLACE = "have the GPU replaced"
RESET = "reset the GPU (nvidia-smi --gpu-reset) or restart the node, with no job on it"


def level(gpu: GpuHealth, sram: int, uncontained: bool) -> tuple[int, str]:
    """0 to 4, and why."""
    if gpu.remap_failed:
        return 4, "L4: remapping of rows has failed"
    if (gpu.sram_uncorrected or 0) > sram:
        return 4, f"L4: {gpu.sram_uncorrected} uncorrectable errors of its SRAM"
    if gpu.retirement_pending:
        return 3, "L3: pages wait to be retired"
    if gpu.register_errors:
        return 3, f"L3: {gpu.register_errors} errors of several bits in registers"
    if uncontained:
        return 3, "L3: an error was not contained (Xid 95)"
    if gpu.sram_uncorrected:
        return 2, f"L2: {gpu.sram_uncorrected} uncorrectable errors of its SRAM so far"
    if gpu.uncorrected:
        return 2, f"L2: {gpu.uncorrected} uncorrectable errors since the driver was loaded"
    if gpu.remap_pending:
        return 2, "L2: rows wait to be remapped, at the next reset"
    return (1, f"L1: {gpu.corrected} corrected errors") if gpu.corrected else (0, "no errors")


def _judge(where: Surroundings, report: SmiReport) -> Finding:
    xids, _ = gpu_report.xids(where)
    uncontained = {_short(xid.bus) for xid in xids if xid.number == 95}
    levels = {gpu: level(gpu, where.limits.sram, _short(gpu.bus_id) in uncontained) for gpu in report.gpus}
    worst = max(found for found, _ in levels.values())
    what = gpu_report.named([gpu for gpu in levels if levels[gpu][0]], lambda gpu: levels[gpu][1])
    if worst >= 3:
        return fail(what, REPLACE if worst == 4 else RESET, "at most L2", (CODE,))
    if worst == 2:
        return warn(what, "a restart of the program is enough; " + RESET, "at most L1", (CODE,))
    return ok(what or "no errors", "at most L1")


def _short(bus: str) -> str:
    """nvidia-smi writes 00000000:3B:00.0, the kernel 0000:3b:00."""
    return bus.lower().partition(".")[0][-10:]


CHECK = Check("gpu-ecc", GPU, gpu_report.of_each(_judge), gpu_report.wanted, hardware=True)
