"""nvidia-smi answers, in time and without a sign of broken hardware."""

from ma_training.devices import FormatError
from ma_training.devices.nvidia_smi import BROKEN
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

OFF_THE_BUS, INFOROM = 15, 14  # exit codes
FIX = "restart the node; where that does not help, have the driver or the GPU replaced"


def _run(where: Surroundings) -> Finding:
    said = gpu_report.answer(where)
    if said.problem == "missing" and where.gpus:
        return warn(
            "there is no nvidia-smi in this image: health of the GPUs is not known",
            "add it (NVIDIA_DRIVER_CAPABILITIES=compute,utility)",
            codes=("A050103",),
        )
    if said.code == OFF_THE_BUS:
        return fail(f"a GPU has fallen off the bus: {said.describe()}", FIX, codes=("A050109", "A050103"))
    if said.problem or said.code not in (0, INFOROM):  # gpu-inforom says what 14 is
        return fail(said.describe(), FIX, "exit code 0", ("A050103",))
    try:
        report = gpu_report.report(where)
    except FormatError as error:
        return warn(str(error), "say which driver this is: its layout is not known here")
    broken = [gpu for gpu in report.gpus if gpu.broken]
    if broken or BROKEN in said.text:
        what = gpu_report.named(broken, lambda gpu: f"{BROKEN} in {', '.join(gpu.broken)}")
        return fail(what or f"nvidia-smi says {BROKEN}", FIX, f"no {BROKEN}", ("A050102",))
    return ok(f"driver {report.driver}, answered in {said.seconds:.1f} s")


CHECK = Check("gpu-driver", GPU, _run, gpu_report.wanted, hardware=True)
