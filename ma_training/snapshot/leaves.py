"""The arrays of a state: their names, types and shapes, and where each lies in a block of bytes."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

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


class _Fields(NamedTuple):
    name: str  # unique, "/"-joined path, e.g. "model/layer1.weight"
    dtype: str  # safetensors' names, as in ITEM_SIZES
    shape: tuple[int, ...]


class LeafSpec(_Fields):
    """One array of a state. Raises SnapshotError for a type that is not known or a shape that is none.

    A tuple and no dataclass: thousands are made and compared while a restarted worker waits for its state.
    """

    __slots__ = ()

    def __new__(cls, name: str, dtype: str, shape: tuple[int, ...]) -> "LeafSpec":
        if not isinstance(name, str) or not name:
            raise SnapshotError(f"a leaf's name is {name!r}, not a text of at least one character")
        if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
            raise SnapshotError(f"leaf {name!r}: type {dtype!r} is none of {', '.join(ITEM_SIZES)}")
        for length in shape:
            if type(length) is not int or length < 0:
                raise SnapshotError(f"leaf {name!r}: shape {shape!r} is not of whole numbers from 0 up")
        return tuple.__new__(cls, (name, dtype, shape))

    @classmethod
    def several(cls, names: Sequence[str], forms: Sequence[tuple[str, tuple[int, ...]]]) -> "list[LeafSpec]":
        """One for each name, with its type and shape: of the few forms that there are, each is checked once.
        Lengths are int and not bool, which would pass for another form."""
        for form in set(forms):
            cls("any", *form)
        return [tuple.__new__(cls, (name, form[0], form[1])) for name, form in zip(names, forms, strict=True)]

    @property
    def nbytes(self) -> int:
        return ITEM_SIZES[self.dtype] * math.prod(self.shape)


@dataclass(frozen=True)
class Schema:
    """The leaves of a state in their order. Each begins on a cache line of the data."""

    leaves: tuple[LeafSpec, ...]

    def __post_init__(self) -> None:
        names = [leaf[0] for leaf in self.leaves]
        if len(set(names)) != len(names):
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise SnapshotError(f"two leaves have the name {twice!r}")
        if self.data_bytes > MAX_BYTES:
            raise SnapshotError(f"{self.data_bytes} bytes of leaves; {MAX_BYTES} are the most")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Bytes from the start of the data to each leaf."""
        found, end = [], 0
        for room in self._rooms:
            found.append(end)
            end += room
        return tuple(found)

    @cached_property
    def data_bytes(self) -> int:
        return sum(self._rooms)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each leaf."""
        by_form: dict[tuple[Any, ...], int] = {}  # most are of a few forms
        for leaf in self.leaves:
            form = leaf[1:]
            if form not in by_form:
                by_form[form] = leaf.nbytes
        return tuple([by_form[leaf[1:]] for leaf in self.leaves])

    @cached_property
    def _rooms(self) -> list[int]:
        return [-(-size // ALIGNMENT) * ALIGNMENT for size in self.sizes]

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        found = zip(self.leaves, self.offsets, self.sizes, strict=True)
        return {leaf[0]: (at, at + size) for leaf, at, size in found}

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


def _leaves(rows: list[Any]) -> list[LeafSpec]:
    for number, row in enumerate(rows):
        if type(row) is not list or len(row) != 3 or not _is_leaf(*row):
            raise SnapshotError(f"leaf {number} is {row!r:.80}, not a name, a type and a shape")
    names, forms = [row[0] for row in rows], [(row[1], tuple(row[2])) for row in rows]
    if all(names) and {type(length) for row in rows for length in row[2]} <= {int}:
        try:
            return LeafSpec.several(names, forms)
        except SnapshotError:
            pass  # told below, of the leaf that it is
    return [LeafSpec(name, *form) for name, form in zip(names, forms, strict=True)]


def _is_leaf(name: Any, dtype: Any, shape: Any) -> bool:
    return type(name) is str and type(dtype) is str and type(shape) is list
