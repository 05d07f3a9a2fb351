"""Pages of an NPU's HBM that were isolated for errors of two bits."""

from collections.abc import Mapping

from ma_training.devices.npu import parse_isolated_pages
from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings

CODE = "A050951"


def _judge(where: Surroundings, counts: Mapping[int, int | None]) -> Finding:
    known = {index: count for index, count in counts.items() if count is not None}
    if not known:
        return skipped("npu-smi does not say how many pages are isolated")
    most = where.limits.isolated
    required = f"fewer than {most}"
    worn = {index: count for index, count in known.items() if count >= most}
    if worn:
        what = npu_report.named(worn, lambda count: f"{count} pages isolated")
        return fail(what, "have the NPU replaced", required, (CODE,))
    some = {index: count for index, count in known.items() if count}
    if some:
        what = npu_report.named(some, lambda count: f"{count} pages isolated")
        return warn(what, "nothing yet; the NPU is to be replaced when it reaches the threshold", required)
    return ok("no page isolated", required)


CHECK = Check(
    "npu-ecc",
    NPU,
    npu_report.of_each(lambda where: npu_report.smi(where, "ecc"), parse_isolated_pages, _judge),
    npu_report.wanted,
    hardware=True,
)
