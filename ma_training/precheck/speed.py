"""How a rate of this node is measured for a check; peers' median judges it where nodes meet."""

import json
import sys
from pathlib import Path

from .finding import Finding, ok, skipped
from .surroundings import Surroundings

UNITS = {"matmul": "GFLOP/s", "memory": "GB/s", "disk": "MB/s"}
_RATES = str(Path(__file__).with_name("rates.py"))


def rate(where: Surroundings, name: str, *words: str) -> float | None:
    """None where it cannot be measured here."""
    said = where.ask((sys.executable, _RATES, name, *words))
    try:
        value = json.loads(said.text.strip().splitlines()[-1])[name] if said.ok else None
    except (ValueError, KeyError, IndexError):
        return None
    if value is not None:
        where.memo.get(("rate", name), lambda: float(value))
    return None if value is None else float(value)


def rates(where: Surroundings) -> dict[str, float]:
    """Those that have been measured."""
    return {name: value for name in UNITS if (value := where.memo.peek(("rate", name))) is not None}


def shown(where: Surroundings, name: str, *words: str) -> Finding:
    value = rate(where, name, *words)
    if value is None:
        return skipped("it could not be measured here")
    return ok(f"{value:.3g} {UNITS[name]}")
