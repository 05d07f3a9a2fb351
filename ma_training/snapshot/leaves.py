"""The arrays that a state is made of."""

import math
from dataclasses import dataclass

ITEM_SIZES = {  # bytes of one element, by safetensors' names of the types
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """One array of a state; ``name`` is unique, a "/"-joined path such as "model/layer1.weight"."""

    name: str
    dtype: str  # one of ITEM_SIZES
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return ITEM_SIZES[self.dtype] * math.prod(self.shape)
