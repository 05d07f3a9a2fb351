"""Xid events: what NVIDIA's driver wrote to the kernel log.

NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=python3, GPU has fallen off the bus.
"""

import re
from dataclasses import dataclass

_XID = re.compile(r"NVRM: Xid \(PCI:(?P<bus>[0-9A-Fa-f:.]+)\): (?P<number>\d+),?\s*(?P<text>.*)")

# Those that mean the hardware, not the program (13, 31, 43 and 45 are programs' faults).
MEANING = {
    48: "memory error of two bits",
    63: "page retired or row remapped",
    64: "page retirement or row remapping failed",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "the GPU's own processor does not answer",
    120: "the GPU's own processor has failed",
}
# 63 is a repair that worked, 94 hurt one program alone: the next attempt may run here.
FATAL = frozenset({48, 64, 74, 79, 95, 119, 120})


@dataclass(frozen=True, slots=True)
class Xid:
    bus: str
    number: int
    text: str


def parse_xids(log: str) -> tuple[Xid, ...]:
    """Of a kernel log's text, in order, those of `MEANING` only."""
    found = (_XID.search(line) for line in log.splitlines() if "Xid" in line)
    xids = (Xid(match["bus"], int(match["number"][:9]), match["text"].strip()) for match in found if match)
    return tuple(xid for xid in xids if xid.number in MEANING)
