"""What is known of the workers of a node at one moment: what the rules judge, and recordings replay.

Counters only grow while a worker lives; times are seconds of the monotonic clock.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of a stack."""

    function: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Stack:
    """The main thread of a worker; innermost frame first. Empty where no one could look."""

    rank: int
    frames: tuple[Frame, ...] = ()
    owns_gil: bool | None = None  # None: not known (faulthandler does not say)
    collective: str = ""  # "all_reduce", "barrier": it waits for its peers; '' anywhere else


@dataclass(frozen=True, slots=True)
class RankEvidence:
    rank: int
    phase: int | None = None  # bootstrap's Phase; None: no bootstrap ran (yet)
    steps: int | None = None  # optimizer steps in this attempt; None: cannot be counted
    step_at: float | None = None  # of the last
    beats: int = 0  # commits of TrainingState
    beat_at: float | None = None
    section: str = ""  # of TrainingState: "eval", "checkpoint"; '' outside of any
    section_at: float | None = None
    cpu: float = 0.0  # seconds, its process tree's
    io: int = 0  # bytes read and written, its process tree's (rchar + wchar)
    states: str = ""  # a letter for each thread of the tree, sorted: "RSSST"
    log: int = 0  # bytes in its logs


@dataclass(frozen=True, slots=True)
class DeviceEvidence:
    """One GPU or NPU, where it can be asked."""

    index: int
    kind: str  # "gpu", "npu"
    utilisation: float | None = None  # percent; of an NPU its AICore
    memory: int | None = None  # bytes in use; of an NPU its HBM
    power: float | None = None  # watts
    link_packets: int | None = None  # of an NPU's RoCE, cumulative


@dataclass(frozen=True, slots=True)
class Evidence:
    """A node's, taken every second or so."""

    at: float
    ranks: tuple[RankEvidence, ...]
    devices: tuple[DeviceEvidence, ...] = ()
    network: int = 0  # bytes over all interfaces but loopback, cumulative
    throttled: float = 0.0  # seconds for which the cgroup's CPU limit held us, cumulative
