"""What a watch was fed, kept as lines of JSON, to be judged again by other rules.

    {"v": 1, "kind": "sleep", ...}                       the first line: anything that describes the recording
    {"at": 12.0, "ranks": [{"rank": 0, ...}], ...}       Evidence; fields that have their default are left out
    {"at": 12.4, "stacks": [{"rank": 0, "frames": [["step", "train.py", 88], ...], ...}]}

Stack traces hold names of functions and files, no values; still, a recording belongs in a file of mode 0600.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

from .evidence import DeviceEvidence, Evidence, Frame, RankEvidence, Stack

VERSION = 1


class RecordingError(Exception):
    """A line that is no part of a recording."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """One sample of all ranks."""

    at: float
    samples: tuple[Stack, ...]


Entry = Evidence | Stacks


def header(**about: Any) -> str:
    return _line({"v": VERSION} | about)


def encode(entry: Entry) -> str:
    """A line."""
    if isinstance(entry, Stacks):
        return _line({"at": entry.at, "stacks": [_stack(stack) for stack in entry.samples]})
    data = _fields(entry)
    data["ranks"] = [_fields(rank) for rank in entry.ranks]
    if entry.devices:
        data["devices"] = [_fields(device) for device in entry.devices]
    return _line(data)


def decode(lines: Iterable[str]) -> Iterator[Entry]:
    """Of a recording, its header first. A last line without an end was being written, and is left out.

    Raises RecordingError, naming the line.
    """
    begun = False
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break
        data = _parse(number, line)
        if begun:
            yield _entry(number, data)
        else:
            _check_header(data)
            begun = True
    if not begun:
        raise RecordingError("a recording without a header: it is empty")


def _entry(number: int, data: dict[str, Any]) -> Entry:
    try:
        if "stacks" in data:
            return Stacks(_number(data["at"]), tuple(_read_stack(stack) for stack in data["stacks"]))
        ranks = tuple(_make(RankEvidence, rank) for rank in data.pop("ranks"))
        devices = tuple(_make(DeviceEvidence, device) for device in data.pop("devices", ()))
        evidence: Evidence = _make(Evidence, data | {"ranks": ranks, "devices": devices})
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        text = f"line {number} of a recording: found {error}, expected evidence or stacks"
        raise RecordingError(text) from error
    return evidence


def _parse(number: int, line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"line {number} of a recording: found {line[:60]!r}, expected JSON") from error
    if not isinstance(data, dict):
        raise RecordingError(f"line {number} of a recording: found {line[:60]!r}, expected an object")
    return data


def _check_header(data: dict[str, Any]) -> None:
    if data.get("v") != VERSION:
        raise RecordingError(f"line 1 of a recording: found version {data.get('v')!r}, expected {VERSION}")


def _fields(data: Any) -> dict[str, Any]:
    """Those of a dataclass that differ from their default."""
    return {
        field.name: value for field in fields(data) if (value := getattr(data, field.name)) != field.default
    }


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "int | None": (int,),
    "float | None": (int, float),
    "bool | None": (bool,),
}


def _make(kind: Any, data: dict[str, Any]) -> Any:
    """Raises TypeError for a field that is unknown, missing, or of another type."""
    known = {field.name: field for field in fields(kind)}
    for name, value in data.items():
        field = known.get(name)
        if field is None:
            raise TypeError(f"an unknown field {name!r}")
        if value is None and field.default is None:
            continue
        expected = _TYPES.get(_type_name(field.type))  # None: ranks, devices and frames, made already
        if expected and type(value) not in expected:
            raise TypeError(f"{name} {value!r}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in data]
    if missing:
        raise TypeError(f"no {missing[0]}")
    return kind(**data)


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _stack(stack: Stack) -> dict[str, Any]:
    data = _fields(stack)
    if stack.frames:
        data["frames"] = [[frame.function, frame.file, frame.line] for frame in stack.frames]
    return data


def _read_stack(data: dict[str, Any]) -> Stack:
    frames = [Frame(str(function), str(file), int(line)) for function, file, line in data.pop("frames", ())]
    stack: Stack = _make(Stack, data | {"frames": tuple(frames)})
    return stack


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"at {value!r}")
    return float(value)


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False) + "\n"
