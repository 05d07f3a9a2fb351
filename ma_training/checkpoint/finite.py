"""Finds NaN and Inf in raw bytes, with the standard library alone and no step of it a loop in Python:
2.5 to 4 GB/s, and 0.6 where numbers near the largest of their type are among them.

A number is not finite where all bits of its exponent are set. These lie in its highest byte, and for
wide types in the next one too. The highest bytes are taken out by slicing and searched for the few
values they must have; only where one occurs, both bytes are mapped to 0 or 1 by tables, and a number
that has 1 in both is looked for.
"""

import sys
from collections.abc import Iterable
from typing import NamedTuple

from .safetensors_file import Leaf

PIECE = 1 << 20  # bytes: fits in a cache


class _Rule(NamedTuple):
    width: int  # bytes
    highest: bytes  # what the highest byte may be
    next: bytes = bytes(range(256))  # and the one after it

    @property
    def tells_alone(self) -> bool:
        return len(self.next) == 256


_SEVEN_ONES = b"\x7f\xff"
_FIVE_ONES = bytes(byte for byte in range(256) if byte & 0x7C == 0x7C)
_RULES = {
    "F64": _Rule(8, _SEVEN_ONES, bytes(range(0xF0, 0x100))),
    "F32": _Rule(4, _SEVEN_ONES, bytes(range(0x80, 0x100))),
    "BF16": _Rule(2, _SEVEN_ONES, bytes(range(0x80, 0x100))),
    "F16": _Rule(2, _FIVE_ONES),
    "F8_E5M2": _Rule(1, _FIVE_ONES),
    "F8_E4M3": _Rule(1, _SEVEN_ONES),  # has no Inf, and NaN only where the mantissa is all ones too
}


def not_finite(leaves: Iterable[Leaf]) -> list[str]:
    """Names of the leaves that hold NaN or Inf; types that are not floating have neither."""
    return [spec.name for spec, view in leaves if spec.dtype in _RULES and _holds_any(view, spec.dtype)]


def _holds_any(view: memoryview, dtype: str) -> bool:
    if not view.nbytes:
        return False
    flat = view.cast("B")
    rule = _RULES[dtype]
    return any(_any_in(bytes(flat[start : start + PIECE]), rule) for start in range(0, len(flat), PIECE))


def _any_in(piece: bytes, rule: _Rule) -> bool:
    highest = piece[rule.width - 1 :: rule.width]
    if not any(value in highest for value in rule.highest):  # mostly so: few numbers are that large
        return False
    if rule.tells_alone:
        return True
    following = piece[rule.width - 2 :: rule.width]
    return bool(_ones(highest, rule.highest) & _ones(following, rule.next))


def _ones(values: bytes, hits: bytes) -> int:
    """A byte of 1 for each of ``values`` that is in ``hits``, as one large number."""
    table = bytes(value in hits for value in range(256))
    return int.from_bytes(values.translate(table), sys.byteorder)
