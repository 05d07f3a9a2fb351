"""What npu-smi calls the health of each NPU."""

from collections.abc import Mapping

from ma_training.devices.npu import parse_health
from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

DEVICE, OTHER = "A050122", "A050129"
_ALARMS = ("alarm", "critical")  # important and urgent ones, as the driver calls them
FIX = "look the error codes up in the driver's list; reset the NPU or have it replaced"
Health = tuple[str, tuple[str, ...]]


def _judge(where: Surroundings, healths: Mapping[int, Health]) -> Finding:
    unwell = {index: health for index, health in healths.items() if health[0].lower() != "ok"}
    if not unwell:
        return ok("all OK", "OK")
    what = npu_report.named(unwell, _words)
    words = {health.lower() for health, _ in unwell.values()}
    if words & set(_ALARMS):
        return fail(what, FIX, "OK", (DEVICE,))
    if words == {"warning"}:
        return warn(what, FIX, "OK")
    return fail(what, FIX, "OK", (OTHER,))


def _words(health: Health) -> str:
    return health[0] + (f", error codes {' '.join(health[1])}" if health[1] else "")


CHECK = Check(
    "npu-health",
    NPU,
    npu_report.of_each(lambda where: npu_report.smi(where, "health"), parse_health, _judge),
    npu_report.wanted,
    hardware=True,
)
