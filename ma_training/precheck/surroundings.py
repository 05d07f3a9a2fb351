"""What checks look at: the machine, the job that is to run, and thresholds. Tests hand in another machine.

Files are read below ``root``; tools are found by PATH of ``environ``; whatever is asked twice is asked
once. No check may ask for anything that is not here.
"""

import os
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ma_training.devices import count_gpus, count_npus, has_gpus, has_npus
from ma_training.devices.tool import Answer, run_tool

from .limits import Limits
from .machine import ClockState, Disk, clock_state, disk_of, resolve, rlimit

TOOL_WITHIN = 10.0  # seconds: nvidia-smi needs some where persistence mode is off
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to run here, as far as that is known."""

    nproc: int = 1  # workers on this node
    nnodes: int = 1
    node: str = ""  # what this one is called
    master: tuple[str, int | None] = ("127.0.0.1", None)  # where rank 0 is, and its port
    leads: bool = True  # rank 0 is on this node
    hosts: tuple[str, ...] = ()
    cards: int | None = None  # accelerators that the platform says there are
    framework: str = ""  # "torch", "mindspore"
    platform: str = "local"
    run_base: Path = Path("runs")
    writes: tuple[str, ...] = ()  # directories and URLs that the job writes to

    @property
    def guided(self) -> bool:
        """The guide's platform, where its table decides; elsewhere its thresholds are advice."""
        return self.platform in ("modelarts", "xihe")


class Memo:
    """Answers that several checks share; whoever comes second waits for the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._values:
                self._values[key] = make()
            value: Value = self._values[key]
            return value

    def peek(self, key: Hashable) -> Any:
        """What is remembered; None where nothing is."""
        return self._values.get(key)


@dataclass(frozen=True, slots=True)
class Surroundings:
    job: Job = field(default_factory=Job)
    limits: Limits = field(default_factory=Limits)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)  # has secrets
    root: Path = Path("/")
    disk: Callable[[Path], Disk] = disk_of  # raises OSError
    rlimit: Callable[[str], int] = rlimit
    resolve: Callable[[str], list[str]] = resolve  # raises OSError
    clock: Callable[[], ClockState] = clock_state
    tool_within: float = TOOL_WITHIN
    memo: Memo = field(default_factory=Memo, repr=False)

    def path(self, text: str) -> Path:
        """``/proc/meminfo`` of the machine that is looked at."""
        return self.root / text.lstrip("/")

    def read(self, text: str) -> str:
        """A file's text; '' where it cannot be read."""
        try:
            return self.path(text).read_text(errors="replace")
        except OSError:
            return ""

    def ask(self, words: Sequence[str]) -> Answer:
        return self.memo.get(tuple(words), partial(run_tool, tuple(words), self.tool_within, self.environ))

    @property
    def gpus(self) -> int:
        """Device nodes, less those that CUDA_VISIBLE_DEVICES hides."""
        return count_gpus(self.environ, self.path("/dev"))

    @property
    def npus(self) -> int:
        return count_npus(self.environ, self.path("/dev"))

    @property
    def has_gpus(self) -> bool:
        return has_gpus(self.environ, self.path("/dev"))

    @property
    def has_npus(self) -> bool:
        return has_npus(self.environ, self.path("/dev"))

    def afresh(self) -> "Surroundings":
        """The same, with nothing remembered: for a second look."""
        return replace(self, memo=Memo())
