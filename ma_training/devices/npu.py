"""Ascend NPUs, from what npu-smi and hccn_tool print. Parsers are pure; FormatError says what was found.

npu-smi info, one block a chip; a board of two dies has two blocks of one NPU:
| 0     910B4               | OK            | 81.1        37                0    / 0             |
| 0                         | 0000:82:00.0  | 0           0    / 0          2773 / 32768         |
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .reading import DeviceReading, FormatError
from .tool import Answer, run_tool

HCCN_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"  # not on PATH in most images
_MIB = 1 << 20
_USED = re.compile(r"(\d+)\s*/\s*(\d+)")
Ask = Callable[[Sequence[str]], Answer]


@dataclass(frozen=True, slots=True)
class NpuChip:
    npu: int
    chip: int
    index: int  # among all chips: what /dev/davinci and ASCEND_RT_VISIBLE_DEVICES count
    name: str
    health: str  # OK, Warning, Alarm, Critical, UNKNOWN
    bus_id: str
    power: float | None  # watts; a second die has none of its own
    temperature: float | None  # degrees Celsius
    aicore: float | None  # percent
    memory: tuple[int, int] | None  # bytes of HBM, else of DDR: used, total


@dataclass(frozen=True, slots=True)
class LinkRecord:
    at: datetime
    up: bool


@dataclass(frozen=True, slots=True)
class LinkHistory:
    """``now``: of the NPU's own clock, which may be years off ours: only differences count."""

    now: datetime | None
    records: tuple[LinkRecord, ...]  # newest first

    def flaps(self, within: timedelta = timedelta(hours=24)) -> int:
        """How often the link went down in the time before ``now``."""
        now = self.now or max((record.at for record in self.records), default=None)
        return sum(not record.up and now is not None and now - record.at <= within for record in self.records)


def parse_chips(text: str) -> tuple[NpuChip, ...]:
    """Of ``npu-smi info``; two rows a chip. Raises FormatError."""
    rows = [_cells(line) for line in text.splitlines() if line.lstrip().startswith("|")]
    rows = [row for row in rows if len(row) == 3 and re.match(r"\d+\b", row[0])]
    if not rows or "npu" not in text.lower():
        raise FormatError(f"npu-smi info names no NPU: {_shown(text)}")
    chips: list[NpuChip] = []
    above: list[str] | None = None
    for row in rows:
        if ":" in row[1]:  # a bus id: the second row of a chip
            if above is None:
                raise FormatError(f"npu-smi info: a chip without a line of its NPU: {_shown(' '.join(row))}")
            chips.append(_chip(len(chips), above, row))
        elif re.match(r"\d+\s+\S", row[0]) and not re.search(r"\d", row[1]):
            above = row
    if not chips:
        raise FormatError(f"npu-smi info has no line of a chip: {_shown(text)}")
    return tuple(chips)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _chip(position: int, above: list[str], below: list[str]) -> NpuChip:
    npu, _, name = above[0].partition(" ")
    chip, *physical = below[0].split()
    power, temperature = (above[2].split() + ["-", "-"])[:2]
    pairs = _USED.findall(below[2])
    used = next((pair for pair in reversed(pairs) if int(pair[1])), None)
    return NpuChip(
        int(npu),
        int(chip) if chip.isdigit() else 0,
        int(physical[0]) if physical and physical[0].isdigit() else position,
        name.strip(),
        above[1],
        below[1],
        _number(power),
        _number(temperature),
        _number(below[2].split()[0] if below[2] else "-"),
        (int(used[0]) * _MIB, int(used[1]) * _MIB) if used else None,
    )


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def parse_fields(text: str) -> dict[str, str]:
    """``Name : value`` lines, as npu-smi -t and hccn_tool -g print them; a device's mark is dropped."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = re.sub(r"^\s*\[devid \d+\]", "", line).partition(":")
        if colon:
            fields.setdefault(" ".join(name.split()).lower(), value.strip())
    return fields


def parse_health(text: str) -> tuple[str, tuple[str, ...]]:
    """Health of ``npu-smi info -t health``, and its error codes in hexadecimal. Raises FormatError."""
    fields = parse_fields(text)
    health = fields.get("health status") or fields.get("health")
    if health is None:
        raise FormatError(f"no health status in {_shown(text)}")
    return health, tuple(re.findall(r"\b(?:0x)?[0-9A-Fa-f]{6,8}\b", fields.get("error code", "")))


def parse_isolated_pages(text: str) -> int | None:
    """HBM pages isolated for double-bit errors, of ``npu-smi info -t ecc``; None where it does not say."""
    value = parse_fields(text).get("hbm double bit isolated pages count")
    if value is None and "ecc" not in text.lower() and "count" not in text.lower():
        raise FormatError(f"no ECC counts in {_shown(text)}")
    return int(value) if value is not None and value.isdigit() else None


def parse_link_history(text: str) -> LinkHistory:
    """Of ``hccn_tool -link_stat -g``. Raises FormatError."""
    fields = parse_fields(text)
    records = re.findall(r"(\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\s+LINK (UP|DOWN)", text)
    if not records and not any(name.startswith("link") for name in fields):
        raise FormatError(f"no link records in {_shown(text)}")
    now = fields.get("current time", "")
    return LinkHistory(
        _time(now) if now else None, tuple(LinkRecord(_time(at), word == "UP") for at, word in records)
    )


def parse_net_health(text: str) -> str:
    """Success, or what is wrong, of ``hccn_tool -net_health -g``. Raises FormatError."""
    value = parse_fields(text).get("net health status")
    if value is None:
        raise FormatError(f"no net health status in {_shown(text)}")
    return value


def parse_packets(text: str) -> int | None:
    """RoCE packets sent and received, of ``hccn_tool -stat -g``."""
    fields = parse_fields(text)
    counts = [fields.get(f"roce_{way}_all_pkt_num", "") for way in ("rx", "tx")]
    return sum(map(int, counts)) if all(count.isdigit() for count in counts) else None


def _time(text: str) -> datetime:
    """``Wed Aug  2 03:09:26 2022``; the day of the week is not looked at, it is wrong at times."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    try:
        _, month, day, clock, year = text.split()
        hour, minute, second = map(int, clock.split(":"))
        return datetime(int(year), months.index(month) + 1, int(day), hour, minute, second)
    except ValueError:
        raise FormatError(f"{text!r} is no time of hccn_tool's") from None


def _shown(text: str) -> str:
    words = " ".join(text.split())
    return repr(words[:120]) if words else "an empty answer"


def npu_readings(ask: Ask) -> tuple[DeviceReading, ...]:
    """Raises FormatError where npu-smi cannot be asked, or read."""
    answer = ask(["npu-smi", "info"])
    if not answer.ok:
        raise FormatError(answer.describe())
    return tuple(
        DeviceReading(
            chip.index,
            "npu",
            chip.aicore,
            chip.memory[0] if chip.memory else None,
            chip.power,
            _packets(ask, chip.index),
        )
        for chip in parse_chips(answer.text)
    )


def _packets(ask: Ask, index: int) -> int | None:
    answer = ask_hccn(ask, index, "-stat")
    return parse_packets(answer.text) if answer.ok else None


def ask_hccn(ask: Ask, index: int, what: str) -> Answer:
    """``hccn_tool -i index what -g``, of PATH or where the driver puts it."""
    words = ["-i", str(index), what, "-g"]
    answer = ask(["hccn_tool", *words])
    return ask([HCCN_TOOL, *words]) if answer.problem == "missing" else answer


def read_npus() -> tuple[DeviceReading, ...]:
    return npu_readings(lambda words: run_tool(words, within=5.0))
