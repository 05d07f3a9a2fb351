"""As many NPUs answer as there are."""

from ma_training.devices import FormatError
from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped
from ma_training.precheck.surroundings import Surroundings


def _run(where: Surroundings) -> Finding:
    try:
        seen = len(npu_report.chips(where))
    except FormatError as error:
        return skipped(f"not known: {error}")
    nodes = [path for path in where.path("/dev").glob("davinci[0-9]*") if path.name[7:].isdigit()]
    expected = max(len(nodes), where.job.cards or 0)
    if seen < expected:
        return fail(
            f"{seen} NPUs answer, {expected} should",
            "an NPU has been lost: restart the node, and have it looked at if that does not help",
            f"{expected}",
            ("A050203",),
        )
    return ok(f"{seen} NPUs", f"{expected or seen}")


CHECK = Check("npu-count", NPU, _run, npu_report.wanted, hardware=True)
