"""Accelerators of this machine."""

from .count import count_gpus, count_npus
from .memory import memory_headroom, memory_limit

__all__ = ["count_gpus", "count_npus", "memory_headroom", "memory_limit"]
