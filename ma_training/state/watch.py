"""The tensors of modules and optimizers, without calling state_dict() at each step: at 5,000 tensors that
costs more than to copy them.

The list of tensors is kept, and looked at before each use: whether every dict that PyTorch would walk has
the very same objects in it, each in its old shape and type. Where anything else is found, the list is
made anew. What has hooks, or its own way to make a state_dict, is not watched, but asked.
"""

from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any, Protocol

from ma_training.snapshot import LeafSpec

from .arrays import describe
from .flat import Flat, Leaves


class NotPlain(Exception):
    """Only its own state_dict() knows what belongs to it."""


class Watch(Protocol):
    def is_current(self) -> bool:
        """Whether `flat` may be called: the same tensors belong to it as before."""

    def flat(self) -> Flat:
        """Raises NotPlain where it has become a thing that cannot be watched."""


class Objects:
    """Remembers which objects were found, to tell whether they are the same again."""

    def __init__(self, found: Sequence[Any]) -> None:
        self._found = found

    def are(self, found: Sequence[Any]) -> bool:
        return len(found) == len(self._found) and all(map(is_, found, self._found))


class Tensors:
    """Some tensors and their shapes and types."""

    def __init__(self, named: Iterable[tuple[str, Any]]) -> None:
        """Raises StateError for tensors that cannot be saved."""
        self.leaves: Leaves = _described(named)
        self._tensors = [tensor for _, tensor in self.leaves]
        self._shapes = [tensor.shape for tensor in self._tensors]
        self._dtypes = Objects([tensor.dtype for tensor in self._tensors])

    def are_as_before(self) -> bool:
        """An assignment to .data changes all of a tensor but its identity."""
        return [tensor.shape for tensor in self._tensors] == self._shapes and self._dtypes.are(
            [tensor.dtype for tensor in self._tensors]
        )


def _described(named: Iterable[tuple[str, Any]]) -> Leaves:
    """Most are of a few forms: of each, one is looked at closely."""
    pairs = list(named)
    forms = [(type(one), one.dtype, one.layout, one.device, one.shape) for _, one in pairs]
    known: dict[Any, tuple[str, tuple[int, ...]]] = {}
    for form, (name, tensor) in zip(forms, pairs, strict=True):
        if form not in known:
            found = describe(name, tensor)
            if found is None:
                raise NotPlain
            known[form] = found[0].dtype, found[0].shape
    specs = LeafSpec.several([name for name, _ in pairs], [known[form] for form in forms])
    return [(spec, tensor) for spec, (_, tensor) in zip(specs, pairs, strict=True)]
