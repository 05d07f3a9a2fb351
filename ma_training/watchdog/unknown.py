"""What devices say where steps cannot be counted. Both rules are others'; neither ends a job alone.

The guide's (ModelArts), in two stages: IO of all processes unchanged over several periods; then utilisation,
whose variance and median show whether it changes. Here "unchanged" is said only of devices at rest: one that
is fully used, evenly, may spin in a collective or train well, and buys time instead (`patience`).

MindCluster's, for NPUs: five rounds of a minute with AICore, memory, RoCE and CPU time at rest.

A service that waits for its input (stdin, requests) looks the same as a hang to both, and to anyone: run it
with `--on-hang warn`.
"""

from collections import deque
from math import inf

from .evidence import DeviceEvidence, Evidence
from .figures import (
    DEVICE_FULL,
    DEVICE_IDLE,
    DEVICE_NOW,
    DEVICE_SPAN,
    DEVICE_STEADY,
    DEVICE_VARIANCE,
    IO_FLAT,
    IO_PERIOD,
    IO_PERIODS,
    NPU_AICORE,
    NPU_CPU,
    NPU_PACKETS,
    NPU_ROUND,
    NPU_ROUNDS,
)
from .middle import median, variance


class Utilisation:
    """Of each device, over the last DEVICE_SPAN. Times are the job's."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], deque[tuple[float, float]]] = {}

    def update(self, devices: tuple[DeviceEvidence, ...], now: float) -> None:
        for device in devices:
            if device.utilisation is not None:
                seen = self._seen.setdefault((device.kind, device.index), deque())
                seen.append((now, device.utilisation))
                while seen[0][0] < now - DEVICE_SPAN:
                    seen.popleft()

    def at_rest(self) -> bool:
        """Every device has been, for all the time that is looked at; False where there is none to ask."""
        all_seen = self._seen.values()
        return bool(all_seen) and all(_long_enough(seen) and not _worth(seen) for seen in all_seen)

    def patience(self) -> float:
        """Seconds that the devices' work buys: 0 at rest, DEVICE_STEADY fully and evenly used, else inf."""
        return max((_worth(seen) for seen in self._seen.values()), default=0.0)

    def level(self) -> float | None:
        """Percent, now, of the busiest device; None: not known."""
        return max((_now(seen) for seen in self._seen.values()), default=None)


def _now(seen: deque[tuple[float, float]]) -> float:
    return median(value for at, value in seen if at >= seen[-1][0] - DEVICE_NOW)


def _long_enough(seen: deque[tuple[float, float]]) -> bool:
    return seen[-1][0] - seen[0][0] >= DEVICE_SPAN - IO_PERIOD


def _worth(seen: deque[tuple[float, float]]) -> float:
    """Seconds of patience that a device's utilisation buys."""
    values = [value for _, value in seen]
    middle = median(values)
    if middle < DEVICE_IDLE:
        return 0.0
    return DEVICE_STEADY if middle >= DEVICE_FULL and variance(values) < DEVICE_VARIANCE else inf


class GuideRule:
    """The guide's two stages."""

    def __init__(self) -> None:
        self.utilisation = Utilisation()
        self._io: dict[int, int] | None = None
        self._period_began = 0.0
        self._unchanged = 0  # periods in a row

    def update(self, evidence: Evidence, now: float) -> None:
        self.utilisation.update(evidence.devices, now)
        if self._io is None:
            self._io, self._period_began = _io(evidence), now
        if now - self._period_began < IO_PERIOD:
            return
        io, before = _io(evidence), self._io
        most = IO_FLAT * (now - self._period_began)
        changed = io.keys() != before.keys() or any(abs(io[rank] - before[rank]) >= most for rank in io)
        self._unchanged = 0 if changed else self._unchanged + 1
        self._io, self._period_began = io, now

    def rests(self) -> str:
        """In words, where both stages say so; else ''."""
        if self._unchanged < IO_PERIODS or not self.utilisation.at_rest():
            return ""
        seconds = self._unchanged * IO_PERIOD
        return f"no IO for {seconds:g} s, and all devices at rest for {DEVICE_SPAN:g} s (median, variance)"


def _io(evidence: Evidence) -> dict[int, int]:
    return {rank.rank: rank.io for rank in evidence.ranks}


class NpuRule:
    """MindCluster's five rounds."""

    def __init__(self) -> None:
        self._first: Evidence | None = None
        self._began = 0.0
        self._rounds = 0
        self._busiest = 0.0  # AICore in this round, percent

    def update(self, evidence: Evidence, now: float) -> None:
        npus = [device for device in evidence.devices if device.kind == "npu"]
        if not npus or any(npu.utilisation is None for npu in npus):
            self._first, self._rounds = None, 0
            return
        self._busiest = max(self._busiest, *(npu.utilisation or 0.0 for npu in npus))
        if self._first is None:
            self._begin(evidence, now)
        elif now - self._began >= NPU_ROUND:
            self._rounds = self._rounds + 1 if self._at_rest(self._first, evidence) else 0
            self._begin(evidence, now)

    def rests(self) -> str:
        """In words, after five rounds; else ''."""
        if self._rounds < NPU_ROUNDS:
            return ""
        return f"{self._rounds} rounds of {NPU_ROUND:g} s with AICore, HBM, RoCE and CPU time at rest"

    def _begin(self, evidence: Evidence, now: float) -> None:
        self._first, self._began, self._busiest = evidence, now, 0.0

    def _at_rest(self, first: Evidence, last: Evidence) -> bool:
        if self._busiest >= NPU_AICORE:
            return False
        cpu = {rank.rank: rank.cpu for rank in first.ranks}
        if any(rank.cpu - cpu.get(rank.rank, 0.0) >= NPU_CPU for rank in last.ranks):
            return False
        before = {device.index: device for device in first.devices if device.kind == "npu"}
        return all(_rested(before.get(npu.index), npu) for npu in last.devices if npu.kind == "npu")


def _rested(before: DeviceEvidence | None, after: DeviceEvidence) -> bool:
    if before is None:
        return False
    packets = (after.link_packets or 0) - (before.link_packets or 0)
    return (after.memory or 0) <= (before.memory or 0) and packets < NPU_PACKETS
