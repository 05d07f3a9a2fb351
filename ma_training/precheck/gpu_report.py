"""What nvidia-smi says here, once for all checks that want to know."""

from collections.abc import Callable, Iterable

from ma_training.devices import FormatError
from ma_training.devices.nvidia_smi import GpuHealth, SmiReport, parse_smi
from ma_training.devices.tool import Answer
from ma_training.devices.xid import Xid, parse_xids

from .finding import Finding, skipped
from .surroundings import Surroundings

NO_GPU = "no NVIDIA driver here"


def answer(where: Surroundings) -> Answer:
    return where.ask(("nvidia-smi", "-q", "-x"))


def report(where: Surroundings) -> SmiReport:
    """Raises FormatError where nvidia-smi has not said anything that can be read."""
    said = answer(where)
    if said.problem:
        raise FormatError(said.describe())
    return where.memo.get("smi-report", lambda: parse_smi(said.text))


def xids(where: Surroundings) -> tuple[tuple[Xid, ...], str]:
    """Of the kernel log, and why it could not be read: in most containers it cannot."""
    said = where.ask(("dmesg",))
    return (parse_xids(said.text), "") if said.ok else ((), said.describe())


def wanted(where: Surroundings) -> str:
    return "" if where.has_gpus else NO_GPU


def of_each(judge: Callable[[Surroundings, SmiReport], Finding]) -> Callable[[Surroundings], Finding]:
    """A check's run: skipped where there is no report; gpu-driver has said why."""

    def run(where: Surroundings) -> Finding:
        try:
            found = report(where)
        except FormatError as error:
            return skipped(f"not known: {error}")
        return judge(where, found) if found.gpus else skipped("nvidia-smi lists no GPU")

    return run


def named(gpus: Iterable[GpuHealth], say: Callable[[GpuHealth], str]) -> str:
    """``GPU 3 (00000000:3B:00.0): what is wrong``, several with semicolons."""
    return "; ".join(f"GPU {gpu.index} ({gpu.bus_id}): {say(gpu)}" for gpu in gpus)
