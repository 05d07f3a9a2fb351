"""The arrays of a state: their names, types and shapes, and where each lies in a block of bytes."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import SnapshotError

ALIGNMENT = 64  # bytes: a cache line, and what vector loads and safetensors' readers like
MAX_BYTES = 1 << 48  # what an x86 process can map; a shape beyond it is a mistake

ITEM_SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


def aligned(size: int, to: int = ALIGNMENT) -> int:
    """The next multiple of ``to`` that is no less than ``size``.

    >>> aligned(0), aligned(1), aligned(64), aligned(5000, to=4096)
    (0, 64, 64, 8192)
    """
    return -(-size // to) * to


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """One array of a state. Raises SnapshotError for a type that is not known or a shape that is none."""

    name: str  # unique, "/"-joined path, e.g. "model/layer1.weight"
    dtype: str  # safetensors' names, as in ITEM_SIZES
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise SnapshotError(f"a leaf's name is {self.name!r}, not a text of at least one character")
        if not isinstance(self.dtype, str) or self.dtype not in ITEM_SIZES:
            raise SnapshotError(f"leaf {self.name!r}: type {self.dtype!r} is none of {', '.join(ITEM_SIZES)}")
        if not all(type(length) is int and length >= 0 for length in self.shape):
            raise SnapshotError(f"leaf {self.name!r}: shape {self.shape!r} is not of whole numbers from 0 up")

    @property
    def nbytes(self) -> int:
        return ITEM_SIZES[self.dtype] * math.prod(self.shape)


@dataclass(frozen=True)
class Schema:
    """The leaves of a state in their order. Each begins on a cache line of the data."""

    leaves: tuple[LeafSpec, ...]

    def __post_init__(self) -> None:
        if len(self._places) != len(self.leaves):
            names = [leaf.name for leaf in self.leaves]
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise SnapshotError(f"two leaves have the name {twice!r}")
        if self.data_bytes > MAX_BYTES:
            raise SnapshotError(f"{self.data_bytes} bytes of leaves; {MAX_BYTES} are the most")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Bytes from the start of the data to each leaf."""
        found, end = [], 0
        for leaf in self.leaves:
            found.append(end)
            end = aligned(end + leaf.nbytes)
        return tuple(found)

    @cached_property
    def data_bytes(self) -> int:
        return aligned(self.offsets[-1] + self.leaves[-1].nbytes) if self.leaves else 0

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        return {leaf.name: (at, at + leaf.nbytes) for leaf, at in zip(self.leaves, self.offsets, strict=True)}

    def place(self, name: str) -> tuple[int, int]:
        """Start and end of a leaf in the data, bytes. Raises SnapshotError for a name that it has not."""
        try:
            return self._places[name]
        except KeyError:
            raise SnapshotError(f"no leaf {name!r} among the {len(self.leaves)} of this state") from None

    @cached_property
    def digest(self) -> str:
        """The same for the same leaves in the same order, hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        rows = [[leaf.name, leaf.dtype, leaf.shape] for leaf in self.leaves]
        return json.dumps({"leaves": rows}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Schema":
        """The inverse of ``to_json``. Raises SnapshotError, naming the leaf that is wrong."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SnapshotError(f"a schema that is not JSON: {error}") from None
        rows = document.get("leaves") if isinstance(document, dict) else None
        if not isinstance(rows, list):
            raise SnapshotError("a schema without a list of leaves")
        return cls(tuple(_leaves(rows)))


def _leaves(rows: list[Any]) -> Iterable[LeafSpec]:
    for number, row in enumerate(rows):
        match row:
            case [str(name), str(dtype), list(shape)]:
                yield LeafSpec(name, dtype, tuple(shape))
            case _:
                raise SnapshotError(f"leaf {number} is {row!r:.80}, not a name, a type and a shape")
