"""Thin readers of this machine: disks, limits, names, the clock. Replaced by tests."""

import ctypes
import os
import resource
import socket
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 1 << 62
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class Disk:
    free: int  # bytes, for this user
    total: int
    free_inodes: int
    inodes: int  # 0 where the file system does not count them
    read_only: bool = False


def disk_of(path: Path) -> Disk:
    """Of the file system that ``path`` is on. Raises OSError."""
    found = os.statvfs(path)
    return Disk(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
        bool(found.f_flag & os.ST_RDONLY),
    )


def rlimit(name: str) -> int:
    """The soft limit, in bytes or pieces: ``MEMLOCK``, ``NOFILE``, ``STACK``, ``NPROC``, ``CORE``."""
    soft = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def resolve(host: str) -> list[str]:
    """Its addresses. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel knows of its clock: it is told by ntpd or chronyd, of containers by the host's."""

    synchronised: bool | None  # None: it cannot be asked
    error: float = 0.0  # seconds that it may be off, as its keeper thinks


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex; the rest is room for it to write to."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def clock_state() -> ClockState:
    """By adjtimex, which only reads where ``modes`` is 0 and needs no right for that."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return ClockState(None)
    if state < 0:  # forbidden by a seccomp filter
        return ClockState(None)
    lost = state == _TIME_ERROR or bool(timex.status & _STA_UNSYNC)
    return ClockState(not lost, timex.esterror / 1e6)
