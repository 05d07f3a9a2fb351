"""How often the link of an NPU's own port has gone down."""

from collections.abc import Mapping

from ma_training.devices.npu import LinkHistory, parse_link_history
from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

CODE = "A050149"


def _judge(where: Surroundings, histories: Mapping[int, LinkHistory]) -> Finding:
    flaps = {index: count for index, history in histories.items() if (count := history.flaps())}
    most = where.limits.flaps
    required = f"fewer than {most} times in 24 h"
    if not flaps:
        return ok("no link went down in 24 h", required)
    what = npu_report.named(flaps, lambda count: f"link down {count} times in 24 h")
    fix = "look at the optical module, the cable and the switch port of this NPU"
    if max(flaps.values()) >= most:
        return fail(what, fix, required, (CODE,))
    return warn(what, fix, required)


CHECK = Check(
    "npu-link",
    NPU,
    npu_report.of_each(lambda where: npu_report.hccn(where, "-link_stat"), parse_link_history, _judge),
    npu_report.wanted,
    hardware=True,
)
