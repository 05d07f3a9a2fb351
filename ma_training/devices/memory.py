"""How much memory may still be taken here: the machine's, or what the cgroup leaves of it (v1 and v2)."""

from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60  # v1's "no limit" is 2^63 rounded to a page


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """One thing that bounds what may still be taken. All in bytes."""

    what: str  # in words
    limit: int
    left: int


def memory_headroom(proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes. Page cache counts as free: the kernel gives it back before it kills."""
    return min(limit.left for limit in memory_limits(proc, sys))


def memory_limit(proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this cgroup, or one above it, allows; None where none does."""
    return min((limit for limit, _ in _limits(proc, sys)), default=None)


def memory_limits(proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> list[MemoryLimit]:
    """The machine's memory and each limit of a cgroup that this process is in. Shared memory counts there."""
    groups = [MemoryLimit("the container's memory limit", *numbers) for numbers in _limits(proc, sys)]
    return [_machine(proc), *groups]


def _machine(proc: Path) -> MemoryLimit:
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    kib = {words[0]: int(words[1]) for words in lines if words}
    return MemoryLimit(
        "the machine's memory", kib.get("MemTotal:", 0) * 1024, kib.get("MemAvailable:", 0) * 1024
    )


def _limits(proc: Path, sys: Path) -> list[tuple[int, int]]:
    """(limit, what is left of it) of this cgroup and those above it. A container's own may be the root."""
    found: list[tuple[int, int]] = []
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except FileNotFoundError:  # a kernel without cgroups
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            mounts = [sys, sys / "unified"]
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            mounts = [sys / "memory"]
        else:
            continue
        for mount in mounts:
            inside = mount / path.lstrip("/")
            for group in (inside, *inside.parents):
                if not group.is_relative_to(mount):
                    break
                if (left := _group(group, *names)) is not None:
                    found.append(left)
    return found


def _group(group: Path, limit: str, usage: str, cache: str) -> tuple[int, int] | None:
    """One cgroup's limit and what is left of it, None where it sets none."""
    try:
        allowed = (group / limit).read_text().strip()
        used = int((group / usage).read_text())
        statistics = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return None
    counts = {line.split()[0]: int(line.split()[1]) for line in statistics}
    # v1 names the tightest limit of the groups above, those a container cannot see among them.
    most = min(
        _NO_LIMIT if allowed == "max" else int(allowed), counts.get("hierarchical_memory_limit", _NO_LIMIT)
    )
    return None if most >= _NO_LIMIT else (most, max(0, most - used + counts.get(cache, 0)))
