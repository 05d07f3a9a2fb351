"""A torch optimizer, watched."""

from collections.abc import Iterator
from itertools import chain, compress
from typing import Any

from .flat import Flat, to_text
from .tree import encode
from .watch import NotPlain, Objects, Tensors

_HOOKS = ("_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks")

_LOAD_HOOKS = ("_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks")


class OptimizerWatch:
    """Its state, with the parameters numbered as by state_dict(). What is no tensor is read each time."""

    def __init__(self, optimizer: Any, at: str) -> None:
        """Raises NotPlain, and StateError for tensors that cannot be saved."""
        self._optimizer, self._at = optimizer, at
        self._numbers = self._numbered()
        if not _is_plain(optimizer) or not all(map(self._numbers.__contains__, optimizer.state)):
            raise NotPlain
        entries = list(self._entries())
        if not all(type(key) is str and "/" not in key for _, key, _ in entries):
            raise NotPlain
        self._mask = [_is_tensor(value) for _, _, value in entries]
        self._others = [(parameter, key) for parameter, key, value in entries if not _is_tensor(value)]
        self._sizes = self._group_sizes()
        self._params = [
            encode([self._numbers[parameter] for parameter in group["params"]], at, _no_array)
            for group in optimizer.param_groups
        ]
        self._objects = Objects(self._look())
        self._tensors = Tensors(
            (f"{at}/state/{self._numbers[parameter]}/{key}", value)
            for parameter, key, value in compress(entries, self._mask)
        )

    def is_current(self) -> bool:
        return (
            self._objects.are(self._look())
            and self._group_sizes() == self._sizes
            and self._tensors.are_as_before()
        )

    def flat(self) -> Flat:
        also = encode(self._also(), f"{self._at}/state", _no_array)
        groups = [*map(self._group, self._optimizer.param_groups, self._params)]
        tree = {"state": {"$state": f"{self._at}/state", "also": also}, "param_groups": groups}
        return Flat(self._tensors.leaves, to_text(tree))

    def _numbered(self) -> dict[Any, int]:
        numbers: dict[Any, int] = {}
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(parameter, len(numbers))
        return numbers

    def _entries(self) -> Iterator[tuple[Any, str, Any]]:
        for parameter, inner in self._optimizer.state.items():
            for key, value in inner.items():
                yield parameter, key, value

    def _also(self) -> dict[int, dict[str, Any]]:
        state = self._optimizer.state
        found: dict[int, dict[str, Any]] = {
            self._numbers[parameter]: {} for parameter, inner in state.items() if not inner
        }
        for parameter, key in self._others:
            found.setdefault(self._numbers[parameter], {})[key] = state[parameter][key]
        return found

    def _group(self, group: dict[str, Any], params: Any) -> dict[str, Any]:
        """Encoded. ``params``: the numbers of its parameters, which are encoded once."""
        if not all(type(name) is str and name[:1] != "$" for name in group):
            raise NotPlain
        others = {name: value for name, value in group.items() if name != "params"}
        return {**encode(others, self._at, _no_array), "params": params}

    def _group_sizes(self) -> list[int]:
        return [len(group["params"]) for group in self._optimizer.param_groups]

    def _look(self) -> list[Any]:
        state, inner = self._optimizer.state, list(self._optimizer.state.values())
        values = chain.from_iterable(map(dict.values, inner))
        parameters = chain.from_iterable(group["params"] for group in self._optimizer.param_groups)
        return [*state, *inner, *chain.from_iterable(inner), *compress(values, self._mask), *parameters]


def _is_tensor(value: Any) -> bool:
    from torch import Tensor

    return isinstance(value, Tensor)


def _is_plain(optimizer: Any) -> bool:
    from torch.optim import Optimizer

    if any(getattr(optimizer, hooks, None) for hooks in _HOOKS):
        return False
    return not hasattr(type(optimizer), "consolidate_state_dict") and all(
        getattr(type(optimizer), name) is getattr(Optimizer, name)
        for name in ("state_dict", "load_state_dict")
    )


def loads_plainly(optimizer: Any) -> bool:
    """Whether load_state_dict() would do no more than copy, of an optimizer that can be watched."""
    hooked = any(getattr(optimizer, hooks, None) for hooks in _LOAD_HOOKS)
    return not hooked and bool(type(optimizer).__setstate__.__module__.startswith("torch.optim."))


def _no_array(path: str, value: Any) -> None:
    """A tensor among a group's values, such as a learning rate, is a leaf that comes and goes."""
    if _is_tensor(value):
        raise NotPlain
