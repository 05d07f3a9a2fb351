"""NVIDIA GPUs' readings: from NVML where ``pynvml`` is installed, else from nvidia-smi.

Blocks for as long as the driver does: called in a process of its own (`helper`).
"""

from typing import Any

from .reading import DeviceReading, FormatError
from .tool import run_tool

_MIB = 1 << 20
_FIELDS = "index,utilization.gpu,memory.used,power.draw"


def read_gpus() -> tuple[DeviceReading, ...]:
    """Raises FormatError where neither NVML nor nvidia-smi says anything."""
    try:
        import pynvml
    except ImportError:
        return read_gpus_by_smi()
    try:
        return read_gpus_by_nvml(pynvml)
    except FormatError as error:
        try:
            return read_gpus_by_smi()
        except FormatError as other:
            raise FormatError(f"{error}; {other}") from None


def read_gpus_by_nvml(nvml: Any) -> tuple[DeviceReading, ...]:
    """``nvml``: the module pynvml, or one that looks like it."""
    try:
        nvml.nvmlInit()  # counted by NVML: the second is cheap
        count = nvml.nvmlDeviceGetCount()
        return tuple(_reading(nvml, index) for index in range(count))
    except nvml.NVMLError as error:
        raise FormatError(f"NVML: {error}") from None


def _reading(nvml: Any, index: int) -> DeviceReading:
    """What one field does not say (not supported, GPU lost) leaves the others as they are."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str) -> Any:
        try:
            return getattr(nvml, name)(handle)
        except nvml.NVMLError:
            return None

    use, memory, power = map(
        ask, ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPowerUsage")
    )
    return DeviceReading(
        index,
        "gpu",
        float(use.gpu) if use is not None else None,
        int(memory.used) if memory is not None else None,
        power / 1000 if power is not None else None,
    )


def read_gpus_by_smi() -> tuple[DeviceReading, ...]:
    answer = run_tool(["nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"], within=5.0)
    if not answer.ok:
        raise FormatError(answer.describe())
    return parse_csv(answer.text)


def parse_csv(text: str) -> tuple[DeviceReading, ...]:
    """``0, 97, 40536, 312.45`` a line; ``[N/A]`` and the like for what a GPU does not say."""
    readings = []
    for line in filter(None, map(str.strip, text.splitlines())):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 4 or not cells[0].isdigit():
            raise FormatError(f"nvidia-smi: {line[:120]!r} is not {_FIELDS}")
        use, memory, power = map(_number, cells[1:])
        used = int(memory * _MIB) if memory is not None else None
        readings.append(DeviceReading(int(cells[0]), "gpu", use, used, power))
    return tuple(readings)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
