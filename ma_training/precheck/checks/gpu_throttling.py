"""GPUs that are slowed down by heat or power: not by being idle, or by a cap that someone has set."""

from ma_training.devices.nvidia_smi import SmiReport
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, ok, warn
from ma_training.precheck.surroundings import Surroundings


def _judge(where: Surroundings, report: SmiReport) -> Finding:
    slow = [gpu for gpu in report.gpus if gpu.throttled]
    if slow:
        what = gpu_report.named(slow, lambda gpu: ", ".join(gpu.throttled))
        return warn(what, "look at the node's cooling and power supplies", "none")
    return ok("none is slowed down")


CHECK = Check("gpu-throttling", GPU, gpu_report.of_each(_judge), gpu_report.wanted)
