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
    leaves: Leaves = []
    by_form: dict[Any, LeafSpec] = {}
    for name, tensor in named:
        form = type(tensor), tensor.dtype, tensor.layout, tensor.device, tensor.shape
        if form not in by_form:
            found = describe(name, tensor)
            if found is None:
                raise NotPlain
            by_form[form] = found[0]
        leaves.append((by_form[form].renamed(name), tensor))
    return leaves
