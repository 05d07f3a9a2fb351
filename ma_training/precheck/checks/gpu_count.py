"""As many GPUs answer as there are."""

from ma_training.devices.nvidia_smi import SmiReport
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings


def _judge(where: Surroundings, report: SmiReport) -> Finding:
    seen = len(report.gpus)
    nodes = len([path for path in where.path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()])
    expected = max(nodes, where.job.cards or 0)
    if seen < expected:
        return fail(
            f"{seen} GPUs answer, {expected} should",
            "a GPU has been lost: restart the node, and have it looked at if that does not help",
            f"{expected}",
            ("A050203",),
        )
    return ok(f"{seen} GPUs", f"{expected or seen}")


CHECK = Check("gpu-count", GPU, gpu_report.of_each(_judge), gpu_report.wanted, hardware=True)
