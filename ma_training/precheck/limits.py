"""Thresholds of checks: the guide's, and ours; each can be set by ``--limit NAME=VALUE``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from ma_training.job import parse_duration, parse_size

GIB = 1 << 30


class LimitError(ValueError):
    """A threshold that does not parse, or that there is not; ``hint`` says what to write."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Limits:
    """What is measured has to be greater, for the first seven (the guide's); at most, for the rest."""

    root: int = 32 * GIB  # bytes free in /
    shm: int = 1 * GIB  # bytes free in /dev/shm
    cache: int = 32 * GIB  # bytes free in /cache
    memlock: int = 16_000  # KiB, as ulimit -l counts
    nofile: int = 1_000_000
    stack: int = 8_000  # KiB, as ulimit -s counts
    nproc: int = 1_000_000
    inodes: int = 100_000  # free where runs are kept
    run_free: int = 1 * GIB  # bytes free there
    memory: int = 1 * GIB  # bytes of memory a worker
    retired: int = 64  # pages of a GPU
    sram: int = 4  # uncorrectable SRAM errors of a GPU's life
    isolated: int = 64  # pages of an NPU's HBM
    flaps: int = 5  # of an NPU's link in 24 hours
    temperature: int = 85  # degrees Celsius of a device
    clock: float = 1.0  # seconds by which nodes' clocks may differ
    slower: float = 2.0  # times below the median of all nodes


_SIZES = frozenset({"root", "shm", "cache", "run_free", "memory"})


def parse_limits(words: Iterable[str], limits: Limits | None = None) -> Limits:
    """``root=16GB`` and the like, over ``limits``. Raises LimitError."""
    found = limits or Limits()
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if name not in {field.name for field in fields(Limits)}:
            known = ", ".join(field.name for field in fields(Limits))
            raise LimitError(f"there is no threshold {name!r}", f"they are {known}")
        if not equals:
            raise LimitError(f"the threshold {word!r} has no value", f"write {name}={_example(name)}")
        changed: dict[str, Any] = {name: _value(name, text.strip())}
        found = replace(found, **changed)
    return found


def _value(name: str, text: str) -> int | float:
    try:
        value = _parser(name)(text)
    except ValueError as error:
        raise LimitError(
            f"the threshold {name}={text} does not parse: {error}", f"write {name}={_example(name)}"
        ) from None
    if value < 0:
        raise LimitError(f"the threshold {name}={text} is below zero", f"write {name}={_example(name)}")
    return value


def _parser(name: str) -> Callable[[str], int | float]:
    if name in _SIZES:
        return parse_size
    if name == "clock":
        return parse_duration
    return float if name == "slower" else int


def _example(name: str) -> str:
    return "16GB" if name in _SIZES else "2s" if name == "clock" else "3"
