"""Accelerators of this machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .count import count_gpus, count_npus, has_gpus, has_npus
from .memory import MemoryLimit, memory_headroom, memory_limit, memory_limits
from .reading import DeviceReading, FormatError

if TYPE_CHECKING:
    from .asking import Asking

__all__ = [
    "DeviceReading",
    "FormatError",
    "MemoryLimit",
    "count_gpus",
    "count_npus",
    "has_gpus",
    "has_npus",
    "memory_headroom",
    "memory_limit",
    "memory_limits",
    "open_devices",
    "readings",
]

_asking: "Asking | None" = None


def open_devices(say: Callable[[str], None] = lambda text: None) -> "Asking":
    """Who asks all devices without ever blocking; ``close`` it. Starts nothing where there are none."""
    from .asking import Asking  # subprocess and json cost 15 ms

    return Asking(say)


def readings(within: float = 0.0) -> tuple[DeviceReading, ...]:
    """What devices have said since the last call, waiting ``within`` seconds at most: see `Asking`."""
    global _asking
    if _asking is None:
        _asking = open_devices()
    return _asking.readings(within)
