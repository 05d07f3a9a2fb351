"""How much memory may still be taken here: the machine's, or what the cgroup leaves of it (v1 and v2)."""

from pathlib import Path


def memory_headroom(proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes. Page cache counts as free: the kernel gives it back before it kills."""
    return min([_machine(proc), *(left for _, left in _limits(proc, sys))])


def memory_limit(proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this cgroup, or one above it, allows; None where none does."""
    return min((limit for limit, _ in _limits(proc, sys)), default=None)


def _machine(proc: Path) -> int:
    for line in (proc / "meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


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
    if allowed == "max" or int(allowed) >= 1 << 60:  # v1's "no limit" is 2^63 rounded to a page
        return None
    cached = next((int(line.split()[1]) for line in statistics if line.split()[0] == cache), 0)
    return int(allowed), max(0, int(allowed) - used + cached)
