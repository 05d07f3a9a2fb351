"""Sizes as people write them. Inside the program a size is a number of bytes."""

import re

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str) -> int:
    """Bytes in ``text``; K, M, G, T are powers of 1024, with or without B or iB.

    >>> parse_size("1G"), parse_size("512 MiB"), parse_size("4096")
    (1073741824, 536870912, 4096)

    Raises ValueError for anything else, and for nothing.
    """
    found = re.fullmatch(r"(\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not found or not int(found[1]):
        raise ValueError(f"{text!r} is not a size: write 1G, 512M or a number of bytes")
    return int(found[1]) * _UNITS[found[2]]


def format_size(size: int) -> str:
    """The largest unit that divides it evenly enough to read.

    >>> format_size(1 << 30), format_size(1536 << 20), format_size(900)
    ('1 GiB', '1.5 GiB', '900 B')
    """
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"
