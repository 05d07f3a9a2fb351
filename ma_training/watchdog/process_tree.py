"""What the processes under a worker have used, and in what states their threads are, from /proc.

A tree is listed anew every few readings only; between them the same open files are read again, which
costs a third of opening them. A process that vanishes while it is read is nothing unusual.
"""

import os
from dataclasses import dataclass

_TICK = os.sysconf("SC_CLK_TCK")
LIST_EVERY = 5  # readings between two listings of a tree
MOST_THREADS = 64  # of one process whose states are looked at


@dataclass(frozen=True, slots=True)
class Usage:
    cpu: float = 0.0  # seconds
    io: int = 0  # bytes, rchar + wchar
    states: str = ""  # a letter for each thread, sorted


class _Process:
    """One process, its files kept open: they stay this process's, whoever gets its number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._io = os.open(f"/proc/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # another user's (set-uid), or it is gone
            self._io = -1

    def usage(self) -> tuple[float, int, str]:
        """Raises OSError where it is gone. What a dead child has used is its parent's, once it is reaped."""
        fields = os.pread(self._stat, 1024, 0).rpartition(b") ")[2].split()
        if len(fields) < 18:
            raise ProcessLookupError
        ticks = sum(map(int, fields[11:15]))
        threads = int(fields[17])
        states = fields[0].decode() if threads == 1 else self._states()
        return ticks / _TICK, self._bytes(), states

    def _bytes(self) -> int:
        if self._io < 0:
            return 0
        try:
            words = os.pread(self._io, 512, 0).split()
        except OSError:
            return 0
        return int(words[1]) + int(words[3])

    def _states(self) -> str:
        return "".join(
            state_of(f"/proc/{self.pid}/task/{thread}/stat")
            for thread in os.listdir(f"/proc/{self.pid}/task")[:MOST_THREADS]
        )

    def close(self) -> None:
        os.close(self._stat)
        if self._io >= 0:
            os.close(self._io)


def state_of(stat: str) -> str:
    """The letter of a stat file; '' where what it tells of is gone."""
    try:
        descriptor = os.open(stat, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        # The command is at most 64 bytes; the letter comes after it.
        return os.read(descriptor, 96).rpartition(b") ")[2][:1].decode()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


class ProcessTree:
    """A worker and all that it has started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._processes: dict[int, _Process] = {}
        self._until_listed = 0
        self._raw_cpu = self._raw_io = self._gone_io = 0.0
        self._gone_cpu = 0.0

    def read(self) -> Usage:
        """What it has used since it began; never less than the last time."""
        if self._until_listed == 0:
            self._list()
            self._until_listed = LIST_EVERY
        self._until_listed -= 1
        cpu, io, states = 0.0, 0, ""
        for pid, process in list(self._processes.items()):
            try:
                one = process.usage()
            except OSError:
                self._processes.pop(pid).close()
                self._until_listed = 0  # another may have come in its place
                continue
            cpu, io, states = cpu + one[0], io + one[1], states + one[2]
        # What was used by a process whose parent did not reap it would be lost: the sum must not shrink,
        # nor hide what is used from now on.
        self._gone_cpu += max(0.0, self._raw_cpu - cpu)
        self._gone_io += max(0.0, self._raw_io - io)
        self._raw_cpu, self._raw_io = cpu, io
        return Usage(round(self._gone_cpu + cpu, 3), int(self._gone_io + io), "".join(sorted(states)))

    @property
    def pids(self) -> tuple[int, ...]:
        """As of the last listing, the worker first."""
        return tuple(self._processes)

    def _list(self) -> None:
        for pid in tree_of(self._pid):
            if pid not in self._processes:
                try:
                    self._processes[pid] = _Process(pid)
                except OSError:
                    continue

    def close(self) -> None:
        for process in self._processes.values():
            process.close()
        self._processes.clear()


def tree_of(pid: int) -> list[int]:
    """``pid`` and its descendants, breadth first; those that are gone meanwhile may be among them."""
    found = [pid]
    for parent in found:
        found += _children(parent)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as listing:
                while chunk := listing.read(1 << 16):
                    children += map(int, chunk.split())
    except OSError:  # gone; or a kernel without CONFIG_PROC_CHILDREN, and then the worker stands for its tree
        pass
    return children
