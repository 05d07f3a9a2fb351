"""Did the kernel's OOM killer run? Counters of this process's cgroup (v1 and v2) and of the machine."""

from dataclasses import dataclass
from pathlib import Path


def _counter(path: Path) -> int | None:
    """The value of the ``oom_kill`` line in a file of ``name value`` lines."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdigit():
            return int(value)
    return None


def _cgroup_files(proc: Path, sys: Path) -> list[Path]:
    """Where this cgroup counts. In a container its path is often that of the host: then the root is ours."""
    files = []
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if controllers == "":
            files += [sys / mount / inside / "memory.events" for mount in ("", "unified")] + [
                sys / "memory.events"
            ]
        elif "memory" in controllers.split(","):
            files += [sys / "memory" / inside / "memory.oom_control", sys / "memory/memory.oom_control"]
    return files


@dataclass(frozen=True, slots=True)
class OomCounters:
    cgroup: int | None
    machine: int | None

    @classmethod
    def read(cls, proc: Path = Path("/proc"), sys: Path = Path("/sys/fs/cgroup")) -> "OomCounters":
        counts = (_counter(path) for path in _cgroup_files(proc, sys))
        return cls(next((count for count in counts if count is not None), None), _counter(proc / "vmstat"))

    def grew_since(self, before: "OomCounters") -> bool:
        """Whether the OOM killer killed since ``before``: in this cgroup, or on a machine without one."""
        if self.cgroup is not None and before.cgroup is not None:
            return self.cgroup > before.cgroup
        return self.machine is not None and before.machine is not None and self.machine > before.machine
