"""Which process holds a lock that others see as a file or an object: whether it is gone can be told here only
for a process of this machine; of others one waits for signs of life."""

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Holder:
    """``space``: boot and pid namespace, within which ``pid`` means something; ``started``: in ticks."""

    host: str
    pid: int
    space: str
    started: str

    @classmethod
    def of(cls, pid: int) -> "Holder":
        return cls(socket.gethostname(), pid, _space(), _started(pid))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Holder":
        """Raises ValueError."""
        try:
            return cls(str(record["host"]), int(record["pid"]), str(record["space"]), str(record["started"]))
        except (LookupError, TypeError) as error:
            raise ValueError(f"no holder: {record!r:.100}") from error

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    def is_gone(self) -> bool | None:
        """None: nobody here can know."""
        if self.space != _space():
            return None
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _space() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115


def _started(pid: int) -> str:
    """'' where it is gone, or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
