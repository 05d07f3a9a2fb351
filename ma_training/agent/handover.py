"""Whether the next attempt may begin while the kernel is still freeing a dead worker's memory.

Freeing 12 GB takes 0.8 s in which the worker can run no code, but still has its files, locks,
sockets and devices open. Where it holds none that a new worker would miss, and there is memory for
both, waiting gains nothing.
"""

from collections.abc import Iterable
from pathlib import Path

from ma_training.devices import memory_headroom

from .process_status import is_exiting
from .shim import descendants_of

# A driver frees a device when the process's last file on it is closed, which is still to come.
DEVICES = ("/dev/nvidia", "/dev/davinci", "/dev/kfd", "/dev/dri", "/dev/infiniband", "/dev/hisi", "/dev/xpu")
RESERVE = 1 << 30  # bytes


def may_begin_beside(shim_pid: int, worker_pid: int, rss: int, own_port: int) -> bool:
    """``rss``: bytes the worker had. ``own_port``: of its attempt's rendezvous, which is not used again."""
    try:
        return (
            all(is_exiting(pid) for pid in descendants_of(shim_pid))
            and not _holds_lock(worker_pid)
            and not _holds_device_or_port(worker_pid, own_port)
            and memory_headroom() >= rss + RESERVE
        )
    except OSError:
        return False  # it ended while we looked, or may not be looked at: its shim will say when it is gone


def _holds_lock(pid: int) -> bool:
    return any(line.split()[-4:-3] == [str(pid)] for line in Path("/proc/locks").read_text().splitlines())


def _holds_device_or_port(pid: int, own_port: int) -> bool:
    targets = list(_open_files(pid))
    if any(target.startswith(DEVICES) for target in targets):
        return True
    inodes = {target[8:-1] for target in targets if target.startswith("socket:[")}
    return bool(inodes) and any(
        inode in inodes and _may_be_wanted(port, own_port) for port, inode in _listening(pid)
    )


def _open_files(pid: int) -> Iterable[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield str(entry.readlink())
        except FileNotFoundError:
            continue  # closed while we looked


def _may_be_wanted(port: int, own_port: int) -> bool:
    """A port that a program chose. Those the kernel gave out are not asked for again by number."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return port != own_port and not first <= port <= last


def _listening(pid: int) -> Iterable[tuple[int, str]]:
    """(port, inode) of listening TCP sockets in the process's network namespace."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # no IPv6
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                yield int(fields[1].rpartition(":")[2], 16), fields[9]
