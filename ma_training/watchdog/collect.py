"""Takes the evidence: one reading of a node's workers.

Nothing here touches a file system that could hang: how much a worker has logged is asked of the
kernel, by the position in its open log, not of the file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .evidence import Evidence, RankEvidence
from .process_tree import ProcessTree


class Telemetry(Protocol):
    """What a worker says of itself; times are seconds of the monotonic clock."""

    @property
    def phase(self) -> int | None: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def step_at(self) -> float | None: ...
    @property
    def beats(self) -> int: ...
    @property
    def beat_at(self) -> float | None: ...
    @property
    def section(self) -> str: ...
    @property
    def section_at(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """A worker: its process, and where it says how far it is."""

    pid: int
    telemetry: Callable[[], Telemetry]


class Collector:
    """Of one attempt. Costs a few milliseconds a reading, so read in a thread or in the agent's loop."""

    def __init__(self, ranks: Mapping[int, Watched]) -> None:
        self._ranks = {rank: _Rank(rank, watched) for rank, watched in ranks.items()}
        self._throttled = throttle_files()

    def read(self, now: float) -> Evidence:
        """``now``: seconds of the monotonic clock."""
        return Evidence(
            at=now,
            ranks=tuple(rank.read() for rank in self._ranks.values()),
            network=network_bytes(),
            throttled=throttled_seconds(self._throttled),
        )

    def pids(self, rank: int) -> tuple[int, ...]:
        """The processes of its tree as last seen, the worker first."""
        return self._ranks[rank].tree.pids

    def close(self) -> None:
        for rank in self._ranks.values():
            rank.tree.close()


class _Rank:
    def __init__(self, rank: int, watched: Watched) -> None:
        self.tree = ProcessTree(watched.pid)
        self._rank, self._watched = rank, watched
        self._outputs = output_descriptors(watched.pid)
        self._log = self._log_before = 0

    def read(self) -> RankEvidence:
        says, used = self._watched.telemetry(), self.tree.read()
        return RankEvidence(
            rank=self._rank,
            phase=says.phase,
            steps=says.steps,
            step_at=says.step_at,
            beats=says.beats,
            beat_at=says.beat_at,
            section=says.section,
            section_at=says.section_at,
            cpu=used.cpu,
            io=used.io,
            states=used.states,
            log=self._logged(),
        )

    def _logged(self) -> int:
        """Bytes that have been written to its logs, also where they were rotated meanwhile."""
        now = log_position(self._watched.pid, self._outputs)
        if now < self._log:  # cut, and written to since
            self._log_before += self._log
        self._log = now
        return self._log_before + now


def log_position(pid: int, numbers: Sequence[int] = (1, 2)) -> int:
    """How far the files under these descriptors are written: 0 for a terminal, a pipe, or a process gone."""
    return sum(_position(f"/proc/{pid}/fdinfo/{number}") for number in numbers)


def output_descriptors(pid: int) -> tuple[int, ...]:
    """Of stdout and stderr, those that lead to different files."""
    try:
        same = Path(f"/proc/{pid}/fd/1").readlink() == Path(f"/proc/{pid}/fd/2").readlink()
    except OSError:
        same = False
    return (1,) if same else (1, 2)


def _position(path: str) -> int:
    try:
        with open(path, "rb", buffering=0) as info:
            return int(info.read(64).split()[1])  # pos: n
    except (OSError, IndexError, ValueError):
        return 0


def network_bytes(path: str = "/proc/net/dev") -> int:
    """Received and sent over all interfaces but loopback, since they came up."""
    try:
        with open(path, "rb", buffering=0) as listing:
            lines = listing.read(1 << 16).splitlines()[2:]
    except OSError:
        return 0
    total = 0
    for line in lines:
        name, _, counters = line.partition(b":")
        numbers = counters.split()
        if name.strip() != b"lo" and len(numbers) > 8:
            total += int(numbers[0]) + int(numbers[8])
    return total


def throttle_files(proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> tuple[str, ...]:
    """cpu.stat of this process's cgroup and those above it: each may have a limit of its own (v1 and v2)."""
    found: list[str] = []
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return ()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mounts = [sys, sys / "unified"] if not controllers else [sys / "cpu", sys / controllers]
        if controllers and "cpu" not in controllers.split(","):
            continue
        found += next(filter(None, (_stat_files(mount, path) for mount in mounts)), [])
    return tuple(found)


def _stat_files(mount: Path, path: str) -> list[str]:
    inside = mount / path.lstrip("/")
    groups = [group for group in (inside, *inside.parents) if group.is_relative_to(mount)]
    return [str(group / "cpu.stat") for group in groups if (group / "cpu.stat").exists()]


def throttled_seconds(files: tuple[str, ...]) -> float:
    """For how long limits on CPU time held their cgroups, since those were made."""
    total = 0.0
    for path in files:
        try:
            with open(path, "rb", buffering=0) as counters:
                words = counters.read(4096).split()
        except OSError:
            continue
        for name, value in zip(words[::2], words[1::2], strict=False):
            if name == b"throttled_usec":
                total += int(value) / 1e6
            elif name == b"throttled_time":  # v1, nanoseconds
                total += int(value) / 1e9
    return total
