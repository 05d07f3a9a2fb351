"""InfiniBand ports: their state from ibstat, or from /sys; their error counters from /sys."""

import re
from dataclasses import dataclass
from pathlib import Path

from .reading import FormatError

# Counters that grow on a bad cable or port; port_xmit_wait and the like grow on a busy one.
ERRORS = (
    "symbol_error",
    "link_error_recovery",
    "link_downed",
    "port_rcv_errors",
    "local_link_integrity_errors",
    "excessive_buffer_overrun_errors",
)


@dataclass(frozen=True, slots=True)
class IbPort:
    adapter: str
    port: int
    state: str  # Active, Down, Initializing, Armed
    physical: str  # LinkUp, Disabled, Polling, ...
    rate: str = ""
    layer: str = "InfiniBand"  # or Ethernet

    @property
    def active(self) -> bool:
        return self.state.lower() == "active"


def parse_ibstat(text: str) -> tuple[IbPort, ...]:
    """Raises FormatError where there is no port in it."""
    ports, adapter = [], ""
    fields: dict[str, str] = {}
    number = 0
    for line in [*text.splitlines(), "CA ''"]:
        if found := re.match(r"\s*(?:CA '(?P<name>[^']*)'|Port (?P<port>\d+):\s*$)", line):
            if number and "State" in fields:
                ports.append(_port(adapter, number, fields))
            fields = {}
            adapter = adapter if found["name"] is None else found["name"]
            number = int(found["port"] or 0)
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
    if not ports:
        raise FormatError(f"ibstat names no port: {' '.join(text.split())[:120]!r}")
    return tuple(ports)


def _port(adapter: str, number: int, fields: dict[str, str]) -> IbPort:
    physical = fields.get("Physical state", "")
    layer = fields.get("Link layer", "InfiniBand")
    return IbPort(adapter, number, fields["State"], physical, fields.get("Rate", ""), layer)


def read_ports(root: Path = Path("/")) -> tuple[IbPort, ...]:
    """The same from /sys/class/infiniband, for images without ibstat."""
    return tuple(_from_sys(path) for path in _ports(root))


def _ports(root: Path) -> list[Path]:
    return sorted((root / "sys/class/infiniband").glob("*/ports/*"))


def _from_sys(path: Path) -> IbPort:
    """Files like ``4: ACTIVE`` and ``5: LinkUp``."""
    words = [_word(path / name) for name in ("state", "phys_state", "rate", "link_layer")]
    state, physical, rate, layer = (word.partition(": ")[2] or word for word in words)
    return IbPort(
        path.parents[1].name, int(path.name), state.capitalize(), physical, rate, layer or "InfiniBand"
    )


def _word(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def read_errors(root: Path = Path("/")) -> dict[str, dict[str, int]]:
    """Errors counted since the port was reset, by "adapter/port"; ports without any are left out."""
    found = {}
    for path in _ports(root):
        counts = {name: int(word) for name in ERRORS if (word := _word(path / "counters" / name)).isdigit()}
        if bad := {name: count for name, count in counts.items() if count}:
            found[f"{path.parents[1].name}/{path.name}"] = bad
    return found
