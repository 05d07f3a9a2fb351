"""The bytes of arrays that are in use."""

import hashlib
import sys
from collections.abc import Iterable
from typing import Any

from .arrays import raw_bytes
from .flat import Flat


def content(value: Any) -> memoryview:
    """A copy of an array's content, in C order."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return raw_bytes(value)
    plain = value.detach().to("cpu").contiguous().clone().view(-1)
    if not plain.numel():
        return memoryview(b"")
    data = bytearray(plain.numel() * plain.element_size())
    torch.frombuffer(data, dtype=torch.uint8).copy_(plain.view(torch.uint8))
    return memoryview(data)


def digests(flats: Iterable[Flat]) -> dict[str, str]:
    """SHA-256 of each leaf."""
    return {
        spec.name: hashlib.sha256(content(value)).hexdigest() for flat in flats for spec, value in flat.leaves
    }
