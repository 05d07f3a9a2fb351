"""No process of an earlier run still holds a device."""

import os
import re
from pathlib import Path

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, ok, warn
from ma_training.precheck.surroundings import Surroundings

_DEVICE = re.compile(r"/dev/(nvidia\d+|davinci\d+)$")
_MARK = b"LAUNCHER_WORKER_JOB="


def _holders(where: Surroundings) -> dict[int, tuple[str, ...]]:
    """Devices by process; those of other users only where this one may look."""
    found = {}
    for process in where.path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid() and (devices := _devices(process / "fd")):
            found[int(process.name)] = tuple(sorted(devices))
    return found


def _devices(directory: Path) -> set[str]:
    try:
        links = [_link(path) for path in directory.iterdir()]
    except OSError:  # it has ended, or is not ours to look at
        return set()
    return {match[1] for link in links if (match := _DEVICE.search(link))}


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed meanwhile
        return ""


def _words(where: Surroundings, pid: int, devices: tuple[str, ...]) -> str:
    try:
        environ = where.path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        environ = []
    job = next((part[len(_MARK) :].decode() for part in environ if part.startswith(_MARK)), "")
    name = where.read(f"/proc/{pid}/comm").strip()
    return f"process {pid} ({name}{', of job ' + job if job else ''}) holds {', '.join(devices)}"


def _run(where: Surroundings) -> Finding:
    holders = _holders(where)
    if not holders:
        return ok("no other process holds a device")
    pids = " ".join(map(str, holders))
    what = "; ".join(_words(where, pid, devices) for pid, devices in holders.items())
    return warn(what, f"if it is left over from an earlier run: kill {pids}", "none")


def _applies(where: Surroundings) -> str:
    return "" if where.gpus or where.npus else "no device here"


CHECK = Check("orphans", SYSTEM, _run, _applies)
