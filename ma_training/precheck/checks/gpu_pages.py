"""Retired pages (before Ampere) and remapped rows."""

from ma_training.devices.nvidia_smi import GpuHealth, SmiReport
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings


def _retired(gpu: GpuHealth) -> int:
    return (gpu.retired_single or 0) + (gpu.retired_double or 0)


def _judge(where: Surroundings, report: SmiReport) -> Finding:
    most = where.limits.retired
    worn = [gpu for gpu in report.gpus if _retired(gpu) > most]
    required = f"at most {most} pages retired"
    if worn:
        what = gpu_report.named(worn, lambda gpu: f"{_retired(gpu)} pages retired")
        return fail(what, "have the GPU replaced", required, ("A050104",))
    pages, rows = (max(map(count, report.gpus)) for count in (_retired, lambda gpu: gpu.remapped or 0))
    return ok(f"at most {pages} pages retired and {rows} rows remapped", required)


CHECK = Check("gpu-pages", GPU, gpu_report.of_each(_judge), gpu_report.wanted, hardware=True)
