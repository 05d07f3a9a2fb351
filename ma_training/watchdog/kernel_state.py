"""What a process waits for in the kernel, as far as /proc tells without waiting itself."""

import os
import platform
from pathlib import Path

from .process_tree import state_of

# System calls that wait, by number. Of those in the second tables the first argument is no descriptor.
_X86 = {0: "read", 1: "write", 17: "pread", 18: "pwrite", 19: "readv", 20: "writev", 45: "recvfrom",
        47: "recvmsg", 43: "accept", 288: "accept", 42: "connect", 74: "fsync", 75: "fdatasync", 73: "flock",
        46: "sendmsg", 44: "sendto"}  # fmt: skip
_ARM = {63: "read", 64: "write", 67: "pread", 68: "pwrite", 65: "readv", 66: "writev", 207: "recvfrom",
        212: "recvmsg", 202: "accept", 242: "accept", 203: "connect", 82: "fsync", 83: "fdatasync",
        32: "flock", 211: "sendmsg", 206: "sendto"}  # fmt: skip
_X86_OTHER = {202: "a lock", 35: "sleep", 230: "sleep", 7: "poll", 271: "poll", 23: "poll", 270: "poll",
              232: "poll", 281: "poll", 61: "a child process", 247: "a child process"}  # fmt: skip
_ARM_OTHER = {98: "a lock", 101: "sleep", 115: "sleep", 73: "poll", 72: "poll", 22: "poll",
              260: "a child process", 95: "a child process"}  # fmt: skip
_CALLS = {"x86_64": (_X86, _X86_OTHER), "aarch64": (_ARM, _ARM_OTHER)}


def main_state(pid: int) -> str:
    """The letter of its main thread: R, S, D, T, t, Z, X; '' where it is gone."""
    return state_of(f"/proc/{pid}/task/{pid}/stat")


def waits_for(pid: int) -> str:
    """As "read of /data/train.bin", "a lock", "sleep", or the kernel's own name; '' where it is not known."""
    try:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
        number, first = int(words[0]), int(words[1], 16)
    except (OSError, ValueError, IndexError):  # running, gone, or not ours to look at
        return _wchan(pid)
    on_descriptor, others = _CALLS.get(platform.machine(), ({}, {}))
    if name := on_descriptor.get(number):
        return f"{name} of {_target(pid, first)}"
    return others.get(number) or _wchan(pid)


def _target(pid: int, descriptor: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())
    except OSError:
        return f"descriptor {descriptor}"


def _wchan(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/wchan").read_text().strip()
    except OSError:
        return ""
    return "" if name == "0" else name


def problem_of(pid: int, state: str) -> str:
    """Why a process in ``state`` cannot answer, in words that follow "rank 2"; '' where it could."""
    if state == "T":
        return "is stopped (SIGSTOP, or SIGTTIN of a terminal)"
    if state == "t":
        return f"is held by a debugger ({_tracer(pid)})"
    if state == "D":
        where = waits_for(pid)
        return f"sits in the kernel{f' ({where})' if where else ''}"
    if state in ("Z", "X", ""):
        return "has ended"
    return ""


def _tracer(pid: int) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return "gone"
    number = next((line.split()[1] for line in lines if line.startswith("TracerPid:")), "0")
    return f"pid {number}"


def continue_if_stopped(pid: int) -> None:
    """For one that was running before a tracer of it was killed."""
    import signal

    if main_state(pid) == "T":
        os.kill(pid, signal.SIGCONT)
