"""Slurm's short form of node names, as ``scontrol show hostnames`` writes it out (which takes longer)."""

import re
from itertools import product

from launchers.cli.errors import UsageError

MOST = 100_000  # a list of more is damage, not a cluster


def expand(text: str, origin: str) -> tuple[str, ...]:
    """Raises UsageError, naming ``origin``, for what is no list of different nodes.

    >>> expand("n[1-2,07-08],gpu-a[1-2]-ib0", "X")
    ('n1', 'n2', 'n07', 'n08', 'gpu-a1-ib0', 'gpu-a2-ib0')
    """
    hosts: list[str] = []
    for part in _split(text, origin):
        pieces = re.split(r"\[([^\[\]]*)\]", part)
        if not part or any(mark in piece for piece in pieces for mark in "[]"):
            raise UsageError(f"{origin} is {text!r}, which is not a list of nodes")
        choices = [_numbers(piece, text, origin) if at % 2 else [piece] for at, piece in enumerate(pieces)]
        for names in product(*choices):
            hosts.append("".join(names))
            if len(hosts) > MOST:
                raise UsageError(f"{origin} names more than {MOST} nodes: {text[:200]!r}")
    if len(set(hosts)) < len(hosts):
        twice = next(host for host in hosts if hosts.count(host) > 1)
        raise UsageError(f"{origin} names the host {twice} twice")
    return tuple(hosts)


def _split(text: str, origin: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth not in (0, 1):
            raise UsageError(f"{origin} is {text!r}, which is not a list of nodes")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _numbers(ranges: str, text: str, origin: str) -> list[str]:
    names: list[str] = []
    for part in ranges.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(last) < int(first) or int(last) - int(first) >= MOST:
            raise UsageError(f"{origin} is {text[:200]!r}, in which {part!r} is not a range of numbers")
        names += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return names
