"""What a check is. Each has a file of its own in `checks`, with ``CHECK`` in it."""

from collections.abc import Callable
from dataclasses import dataclass

from .finding import Finding
from .surroundings import Surroundings

GUIDE, SYSTEM, NETWORK, GPU, NPU, IB, SPEED = (
    "platform",
    "system",
    "network",
    "GPU",
    "NPU",
    "InfiniBand",
    "speed",
)
GROUPS = (GUIDE, SYSTEM, NETWORK, GPU, NPU, IB, SPEED)


def always(where: Surroundings) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    group: str
    run: Callable[[Surroundings], Finding]
    applies: Callable[[Surroundings], str] = always  # why it does not apply; '' where it does
    hardware: bool = False
    full: bool = False  # only with --level full: it takes seconds, and loads the machine
    item: bool = False  # of the guide's table: the platform's own line is written for it
    seconds: float = 15.0  # after which it counts as hung; tools have a shorter deadline of their own
