"""Durations as people write them. Inside the program a duration is a float of seconds."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Seconds in ``text``: a number with units, or a bare number of seconds as torchrun takes it.

    >>> parse_duration("90s"), parse_duration("1h30m"), parse_duration("250ms"), parse_duration("30")
    (90.0, 5400.0, 0.25, 30.0)

    Raises ValueError where it is neither.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration: write 30s, 5m, 1h30m or a number of seconds")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """``seconds`` in the two largest units that say something.

    >>> [format_duration(s) for s in (0.004, 0.25, 7.04, 65, 5400, 93784)]
    ['4 ms', '250 ms', '7.0 s', '1 m 5 s', '1 h 30 m', '1 d 2 h']
    """
    if round(seconds * 1000) < 1000:
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = max(60, int(seconds))
    for big, small, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {big} {rest} {small}" if rest else f"{whole // size} {big}"
    raise AssertionError("unreachable: a minute or more has a unit")
