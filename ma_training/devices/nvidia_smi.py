"""What ``nvidia-smi -q -x`` says of each GPU. Layouts of drivers from 418 on; what one lacks is None.

The whole answer is kept as text too: ``ERR!`` and the infoROM warning may stand anywhere in it.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .reading import FormatError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

INFOROM = re.compile(r"info\s?rom is corrupted(?: at gpu (\S+))?", re.IGNORECASE)
BROKEN = "ERR!"
# Of these the GPU is slowed by something wrong; idle, power cap and application clocks are normal.
_WRONG = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")


@dataclass(frozen=True, slots=True)
class GpuHealth:
    index: int
    bus_id: str
    name: str
    corrected: int | None = None  # ECC errors since the driver was loaded: one bit, mended
    uncorrected: int | None = None  # the same, of several bits: what computed with it is damaged
    sram_uncorrected: int | None = None  # of the GPU's life
    register_errors: int | None = None  # of several bits, in registers (before Ampere)
    retired_single: int | None = None  # pages, before Ampere
    retired_double: int | None = None
    retirement_pending: bool | None = None
    remap_pending: bool | None = None  # rows, Ampere and later
    remap_failed: bool | None = None
    remapped: int | None = None  # rows remapped for errors of several bits
    temperature: float | None = None  # degrees Celsius
    slowdown_at: float | None = None
    throttled: tuple[str, ...] = ()  # active reasons of those that mean something is wrong
    broken: tuple[str, ...] = ()  # fields that say ERR!


@dataclass(frozen=True, slots=True)
class SmiReport:
    driver: str
    gpus: tuple[GpuHealth, ...]
    inforom: str = ""  # the warning, where there is one


def parse_smi(text: str) -> SmiReport:
    """Of all that nvidia-smi wrote, warnings around the XML too. Raises FormatError."""
    from xml.etree import ElementTree  # 13 ms

    begin, end = text.find("<nvidia_smi_log"), text.rfind("</nvidia_smi_log>")
    if begin < 0 or end < begin:
        raise FormatError(f"nvidia-smi -q -x wrote no report: {' '.join(text.split())[:120]!r}")
    try:
        tree = ElementTree.fromstring(text[begin : end + len("</nvidia_smi_log>")])
    except ElementTree.ParseError as error:
        raise FormatError(f"the report of nvidia-smi -q -x is damaged: {error}") from None
    gpus = tuple(_gpu(index, element) for index, element in enumerate(tree.findall("gpu")))
    warning = INFOROM.search(text)
    return SmiReport(tree.findtext("driver_version", "").strip(), gpus, warning[0] if warning else "")


def _gpu(index: int, gpu: "Element") -> GpuHealth:
    volatile, aggregate = gpu.find("ecc_errors/volatile"), gpu.find("ecc_errors/aggregate")
    return GpuHealth(
        index,
        gpu.get("id", ""),
        _text(gpu, "product_name"),
        _sum(volatile, "sram_correctable", "dram_correctable", "single_bit/total"),
        _sum(
            volatile,
            "sram_uncorrectable",
            "sram_uncorrectable_parity",
            "sram_uncorrectable_secded",
            "dram_uncorrectable",
            "double_bit/total",
        ),
        _sum(aggregate, "sram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded"),
        _sum(aggregate, "double_bit/register_file"),
        _sum(gpu, "retired_pages/multiple_single_bit_retirement/retired_count"),
        _sum(gpu, "retired_pages/double_bit_retirement/retired_count"),
        _yes(gpu, "retired_pages/pending_blacklist", "retired_pages/pending_retirement"),
        _yes(gpu, "remapped_rows/remapped_row_pending"),
        _yes(gpu, "remapped_rows/remapped_row_failure"),
        _sum(gpu, "remapped_rows/remapped_row_unc"),
        _number(_text(gpu, "temperature/gpu_temp")),
        _number(_text(gpu, "temperature/gpu_temp_slow_threshold")),
        _throttled(gpu),
        tuple(sorted({each.tag for each in gpu.iter() if BROKEN in (each.text or "")})),
    )


def _text(element: "Element", path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(text: str) -> float | None:
    match = re.match(r"-?\d+(\.\d+)?", text)
    return float(match[0]) if match else None


def _sum(element: "Element | None", *paths: str) -> int | None:
    """Of those that there are and that hold a number; None where there is none."""
    if element is None:
        return None
    found = [number for path in paths if (number := _number(_text(element, path))) is not None]
    return int(sum(found)) if found else None


def _yes(element: "Element", *paths: str) -> bool | None:
    words = [_text(element, path).lower() for path in paths]
    return next((word == "yes" for word in words if word in ("yes", "no")), None)


def _throttled(gpu: "Element") -> tuple[str, ...]:
    """``clocks_throttle_reasons`` until driver 535, ``clocks_event_reasons`` after it."""
    return tuple(
        name
        for name in _WRONG
        for section in ("throttle", "event")
        if _text(gpu, f"clocks_{section}_reasons/clocks_{section}_reason_{name}").lower() == "active"
    )
