"""What a device says of itself at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """None: this device, or this version of its tools, does not say."""

    index: int
    kind: str  # "gpu", "npu"
    utilisation: float | None = None  # percent; of an NPU its AICore
    memory: int | None = None  # bytes in use; of an NPU its HBM
    power: float | None = None  # watts
    link_packets: int | None = None  # of an NPU's RoCE, sent and received, cumulative


class FormatError(ValueError):
    """A tool has answered with what this version of us cannot read; the text says what was found."""
