"""How warm GPUs are before the job has begun."""

from ma_training.devices.nvidia_smi import GpuHealth, SmiReport
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings


def _judge(where: Surroundings, report: SmiReport) -> Finding:
    known = [gpu for gpu in report.gpus if gpu.temperature is not None]
    if not known:
        return skipped("nvidia-smi does not say")

    def most(gpu: GpuHealth) -> float:
        return min(where.limits.temperature, gpu.slowdown_at or where.limits.temperature)

    hot = [gpu for gpu in known if (gpu.temperature or 0) >= most(gpu)]
    required = f"below {where.limits.temperature} °C"
    if hot:
        what = gpu_report.named(hot, lambda gpu: f"{gpu.temperature:g} °C")
        return warn(what, "look at the node's cooling: the GPU will slow down", required)
    return ok(f"at most {max(gpu.temperature or 0 for gpu in known):g} °C", required)


CHECK = Check("gpu-temperature", GPU, gpu_report.of_each(_judge), gpu_report.wanted)
