"""Accelerators of this machine."""

from .count import count_gpus, count_npus
from .memory import MemoryLimit, memory_headroom, memory_limit, memory_limits

__all__ = [
    "MemoryLimit",
    "count_gpus",
    "count_npus",
    "memory_headroom",
    "memory_limit",
    "memory_limits",
]
