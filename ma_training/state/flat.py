"""A component taken apart: its arrays, and the rest as JSON text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ma_training.snapshot import LeafSpec

from .arrays import describe, make
from .errors import StateError
from .tree import decode, encode

Leaves = list[tuple[LeafSpec, Any]]  # with the tensor, array or Raw that has the content
Found = Mapping[str, tuple[LeafSpec, memoryview]]


@dataclass(frozen=True, slots=True)
class Flat:
    """``leaves`` is the same list as long as nothing but the content of its tensors has changed."""

    leaves: Leaves
    text: str


class Collector:
    """Takes arrays out of a value while it is encoded. Names are made unique."""

    def __init__(self) -> None:
        self.leaves: Leaves = []
        self._names: set[str] = set()

    def put(self, path: str, value: Any) -> dict[str, Any] | None:
        found = describe(path, value)
        if found is None:
            return None
        spec, kind = found
        if path in self._names:  # the keys 1 and "1"
            path = next(name for n in range(2, 1 << 31) if (name := f"{path}~{n}") not in self._names)
            spec = LeafSpec(path, spec.dtype, spec.shape)
        self._names.add(path)
        self.leaves.append((spec, value))
        return {"$leaf": path} | ({} if kind == "torch" else {"as": kind})


def flatten(value: Any, at: str) -> Flat:
    """Raises StateError, which names the place, for what cannot be saved."""
    collector = Collector()
    tree = encode(value, at, collector.put)
    return Flat(collector.leaves, to_text(tree))


def to_text(tree: Any) -> str:
    return json.dumps(tree, separators=(",", ":"))


def build(tree: Any, found: Found) -> Any:
    """The value that was flattened, of copies. Raises StateError for an array that is not in ``found``."""

    def get(reference: dict[str, Any]) -> Any:
        if "$all" in reference:
            prefix = reference["$all"] + "/"
            return {name.removeprefix(prefix): tensor(name) for name in found if name.startswith(prefix)}
        if "$state" in reference:
            return _state(reference, get)
        return tensor(reference["$leaf"], reference.get("as", "torch"))

    def tensor(name: str, kind: str = "torch") -> Any:
        if name not in found:
            raise StateError(f"{name} is not among what is restored")
        spec, data = found[name]
        return make(spec, kind, data)

    return decode(tree, get)


def _state(reference: dict[str, Any], get: Any) -> dict[int, dict[str, Any]]:
    """An optimizer's: leaves are named <prefix>/<number of the parameter>/<key>, the rest is written out."""
    state: dict[int, dict[str, Any]] = {}
    for path, value in get({"$all": reference["$state"]}).items():
        number, _, key = path.partition("/")
        state.setdefault(int(number), {})[key] = value
    for number, others in decode(reference["also"], get).items():
        state.setdefault(number, {}).update(others)
    return state
