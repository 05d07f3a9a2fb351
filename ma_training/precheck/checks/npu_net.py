"""Whether an NPU's own port reaches the address that it was told to look for."""

from collections.abc import Mapping

from ma_training.devices.npu import parse_net_health
from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

CODE = "A050123"
_UNKNOWN = ("init", "detect ip set", "")  # it has not looked yet, or was not told where
FIX = "see hccn_tool -i N -link -g, -ip -g and -netdetect -g: cable, address, switch"


def _judge(where: Surroundings, states: Mapping[int, str]) -> Finding:
    bad = {index: state for index, state in states.items() if state.lower() not in ("success", *_UNKNOWN)}
    if bad:
        return fail(npu_report.named(bad, str), FIX, "Success", (CODE,))
    unknown = {index: state for index, state in states.items() if state.lower() in _UNKNOWN}
    if unknown:
        what = npu_report.named(unknown, lambda state: state or "nothing said")
        return warn(what, "hccn_tool -i N -netdetect -s address GATEWAY", "Success")
    return ok("all reach their gateway", "Success")


CHECK = Check(
    "npu-net",
    NPU,
    npu_report.of_each(lambda where: npu_report.hccn(where, "-net_health"), parse_net_health, _judge),
    npu_report.wanted,
    hardware=True,
)
