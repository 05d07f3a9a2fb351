"""The arrays that a state is made of."""

import math
from dataclasses import dataclass

from .errors import SnapshotError

ITEM_SIZES = {  # bytes of one element, by safetensors' names of the types
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


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
