"""npu-smi answers, in time, with something that can be read."""

from ma_training.devices import FormatError
from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

CODE = "A050121"
FIX = "see /var/log/npu, restart the node, or have the driver installed anew"


def _run(where: Surroundings) -> Finding:
    said = npu_report.answer(where)
    if said.problem == "missing":
        return warn(
            "there is no npu-smi in this image: health of the NPUs is not known",
            "mount /usr/local/Ascend/driver and /usr/local/bin/npu-smi of the host",
        )
    if not said.ok:
        return fail(said.describe(), FIX, "exit code 0", (CODE,))
    try:
        chips = npu_report.chips(where)
    except FormatError as error:
        return warn(str(error), "say which driver this is: its layout is not known here")
    return ok(f"{len(chips)} NPUs, answered in {said.seconds:.1f} s")


CHECK = Check("npu-driver", NPU, _run, npu_report.wanted, hardware=True)
