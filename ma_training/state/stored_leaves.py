"""The arrays of a state in shared memory, by name, and where each of them is."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from ma_training.snapshot import LeafSpec, Stored
from ma_training.snapshot.populate import address_of


class StoredLeaves(Mapping[str, tuple[LeafSpec, memoryview]]):
    """A view of each is made when it is asked for: to make thousands takes longer than to copy them."""

    def __init__(self, stored: Stored, specs: Sequence[LeafSpec], offsets: Sequence[int]) -> None:
        self._stored, self.specs, self._offsets = stored, list(specs), offsets

    @classmethod
    def of(cls, stored: Stored, prefix: str) -> "StoredLeaves":
        schema = stored.schema
        return cls(stored, schema.leaves, schema.offsets).part(prefix)

    def part(self, prefix: str) -> "StoredLeaves":
        """Those whose names begin so."""
        chosen = [
            (spec, at)
            for spec, at in zip(self.specs, self._offsets, strict=True)
            if spec[0].startswith(prefix)
        ]
        return StoredLeaves(self._stored, [spec for spec, _ in chosen], [at for _, at in chosen])

    @property
    def addresses(self) -> list[int]:
        """Of ``specs``, in their order. Valid as long as this object lives."""
        if not self._stored.memory.data.nbytes:
            return [0] * len(self.specs)
        base = address_of(self._stored.memory.data)
        return [base + at for at in self._offsets]

    @cached_property
    def _by_name(self) -> dict[str, LeafSpec]:
        return {spec.name: spec for spec in self.specs}

    def __getitem__(self, name: str) -> tuple[LeafSpec, memoryview]:
        return self._by_name[name], self._stored.leaf(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.specs)


def part(
    found: Mapping[str, tuple[LeafSpec, memoryview]], prefix: str
) -> Mapping[str, tuple[LeafSpec, memoryview]]:
    """The leaves whose names begin so."""
    if isinstance(found, StoredLeaves):
        return found.part(prefix)
    return {name: leaf for name, leaf in found.items() if name.startswith(prefix)}


def specs_of(found: Mapping[str, tuple[LeafSpec, memoryview]]) -> list[LeafSpec]:
    return found.specs if isinstance(found, StoredLeaves) else [spec for spec, _ in found.values()]
