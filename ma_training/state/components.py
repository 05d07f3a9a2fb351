"""What a training state is made of: each part can be taken apart, and be put back.

Component
 ├─ ModuleComponent      a torch.nn.Module, or one in DistributedDataParallel
 ├─ OptimizerComponent   a torch.optim.Optimizer
 ├─ ObjectComponent      anything with state_dict() and load_state_dict()
 └─ ValueComponent       a dict or list of numbers, texts and tensors, restored in place
"""

import sys
from collections.abc import Callable
from typing import Any, Protocol

from ma_training.checkpoint.reading import compare

from .arrays import same_kind
from .errors import StateError
from .filling import fill_all
from .flat import Flat, Found, build, flatten
from .module_watch import ModuleWatch, takes_plain_copies, unwrapped
from .optimizer_fill import plan_for
from .optimizer_watch import OptimizerWatch
from .stored_leaves import specs_of
from .watch import NotPlain, Watch

LOADER_HINT = (
    "\nhint: give the ma_training.data.ResumableBatchSampler that it has, or a "
    "torchdata.stateful_dataloader.StatefulDataLoader (pip install torchdata)"
)


class Component(Protocol):
    name: str

    def flat(self) -> Flat:
        """Raises StateError for what cannot be saved."""

    def load(self, tree: Any, found: Found, partly: bool) -> None:
        """Puts a state back, by copy. ``partly``: what is not in ``found`` stays as it is, where it can.

        Raises StateError, and Mismatch, which names the tensors, where it does not fit.
        """


def component(name: str, value: Any) -> Component:
    """Raises StateError for what has no state that could be known."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module):
        return ModuleComponent(name, unwrapped(value))
    if torch is not None and isinstance(value, torch.optim.Optimizer):
        return OptimizerComponent(name, value)
    if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
        return ObjectComponent(name, value)
    if type(value) in (dict, list):
        return ValueComponent(name, value)
    loader = torch is not None and isinstance(value, torch.utils.data.DataLoader)
    raise StateError(
        f"{name} is a {type(value).__name__}: no dict or list, and without state_dict() and load_state_dict()"
        f"{LOADER_HINT if loader else ''}"
    )


class Watched:
    """The fast way as long as there is one, else state_dict()."""

    def __init__(self, make: Callable[[], Watch], slow: Callable[[], Flat]) -> None:
        self._make, self._slow = make, slow
        self._watch: Watch | None = None

    def flat(self) -> Flat:
        try:
            watch = self.watch()
            return watch.flat() if watch else self._slow()
        except NotPlain:
            self._watch = None
            return self._slow()

    def watch(self) -> Watch | None:
        """None where only state_dict() knows what there is."""
        try:
            if self._watch is None or not self._watch.is_current():
                self._watch = self._make()
        except NotPlain:
            self._watch = None
        return self._watch


class ModuleComponent:
    def __init__(self, name: str, module: Any) -> None:
        self.name, self._module, self._at = name, module, f"shared/{name}"
        self._watched = Watched(lambda: ModuleWatch(module, self._at), self._slow)
        self.flat = self._watched.flat

    def load(self, tree: Any, found: Found, partly: bool) -> None:
        leaves = self.flat().leaves
        wanted = [spec for spec, _ in leaves if not partly or spec.name in found]
        there = specs_of(found)
        if wanted != there:  # of the same names in another order, perhaps
            compare(wanted, there, self.name)
        if "$all" not in tree or self._watched.watch() is None or not takes_plain_copies(self._module):
            self._module.load_state_dict(build(tree, found), strict=not partly)
            return
        fill_all([leaf for leaf in leaves if not partly or leaf[0].name in found], found)

    def _slow(self) -> Flat:
        return flatten(dict(self._module.state_dict()), self._at)


class OptimizerComponent:
    def __init__(self, name: str, optimizer: Any) -> None:
        self.name, self._optimizer, self._at = name, optimizer, f"shared/{name}"
        self._watched = Watched(lambda: OptimizerWatch(optimizer, self._at), self._slow)
        self.flat = self._watched.flat

    def load(self, tree: Any, found: Found, partly: bool) -> None:
        plan = None if partly or self._watched.watch() is None else plan_for(self._optimizer, tree, found)
        if plan is None:
            _load(self.name, self._optimizer, build(tree, found))
            return
        _load(self.name, self._optimizer, {"state": {}, "param_groups": plan.groups})
        plan.fill(self._optimizer, found)

    def _slow(self) -> Flat:
        return flatten(self._optimizer.state_dict(), self._at)


class ObjectComponent:
    def __init__(self, name: str, value: Any) -> None:
        self.name, self._value = name, value

    def flat(self) -> Flat:
        state = self._value.state_dict()
        return flatten(dict(state) if isinstance(state, dict) else state, f"shared/{self.name}")

    def load(self, tree: Any, found: Found, partly: bool) -> None:
        _load(self.name, self._value, build(tree, found))


class ValueComponent:
    def __init__(self, name: str, value: "dict[Any, Any] | list[Any]") -> None:
        self.name, self._value = name, value

    def flat(self) -> Flat:
        return flatten(self._value, f"shared/{self.name}")

    def load(self, tree: Any, found: Found, partly: bool) -> None:
        state = build(tree, found)
        if type(state) is not type(self._value):
            raise StateError(
                f"{self.name} is a {type(self._value).__name__}, a {type(state).__name__} was saved"
            )
        _replace(self._value, state)


def _load(name: str, target: Any, state: Any) -> None:
    try:
        target.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise StateError(f"{name} does not take the state that was saved: {error}") from error


def _replace(old: Any, new: Any) -> Any:
    """``new``, with its dicts, lists and tensors put into those of ``old`` where these fit."""
    if type(old) is not type(new):
        return new
    if type(old) is dict:
        items = {key: _replace(old.get(key), value) for key, value in new.items()}
        old.clear()
        old.update(items)
        return old
    if type(old) is list:
        old[:] = [*map(_replace, old, new), *new[len(old) :]]
        return old
    return _refilled(old, new)


def _refilled(old: Any, new: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(old, torch.Tensor) or not same_kind(old, new):
        return new
    with torch.no_grad():
        old.copy_(new)
    return old
