"""A tree of torch modules, watched."""

from collections.abc import Iterator
from typing import Any

from .flat import Flat, to_text
from .watch import NotPlain, Objects, Tensors

_DICTS = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks")


class ModuleWatch:
    """Parameters and buffers, named as by state_dict()."""

    def __init__(self, module: Any, at: str) -> None:
        """Raises NotPlain, and StateError for tensors that cannot be saved."""
        walked = list(_walk(module, ""))
        self._modules = [one for _, one in walked]
        if not all(map(_is_plain, self._modules)):
            raise NotPlain
        self._objects = Objects(self._look())
        self._hidden = [set(one._non_persistent_buffers_set) for one in self._modules]
        self._tensors = Tensors((f"{at}/{name}", tensor) for name, tensor in _named(walked))
        self._flat = Flat(self._tensors.leaves, to_text({"$all": at}))

    def is_current(self) -> bool:
        return (
            self._objects.are(self._look())
            and [one._non_persistent_buffers_set for one in self._modules] == self._hidden
            and self._tensors.are_as_before()
        )

    def flat(self) -> Flat:
        return self._flat

    def _look(self) -> list[Any]:
        found: list[Any] = []
        for module in self._modules:
            own = module.__dict__
            for name in _DICTS:
                content = own[name]
                found += content
                found += content.values()
            found += own["_state_dict_hooks"].values()
        return found


def unwrapped(module: Any) -> Any:
    """Without what DistributedDataParallel and torch.compile put around it: it can then be restored where
    the one or the other is missing."""
    while True:
        kind = f"{type(module).__module__}.{type(module).__name__}"
        if kind == "torch.nn.parallel.distributed.DistributedDataParallel":
            module = module.module
        elif kind == "torch._dynamo.eval_frame.OptimizedModule":
            module = module._orig_mod
        else:
            return module


def takes_plain_copies(module: Any) -> bool:
    """Whether load_state_dict() would do no more than copy, of a module that can be watched: no hooks of
    the user's. What PyTorch's own modules do besides is for states of their older versions."""
    from torch.nn import Module

    return not any(
        one._load_state_dict_post_hooks or not _loads_as(type(one), Module) for one in module.modules()
    )


def _loads_as(kind: Any, base: Any) -> bool:
    own = kind._load_from_state_dict
    return own is base._load_from_state_dict or own.__module__.startswith("torch.nn.")


def _walk(module: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """A module that is in two places comes twice, as in state_dict()."""
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _walk(child, f"{prefix}{name}.")


def _named(walked: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for prefix, module in walked:
        hidden = module._non_persistent_buffers_set
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and name not in hidden:
                yield prefix + name, tensor


def _is_plain(module: Any) -> bool:
    from torch.nn import Module

    hooked = any(getattr(module, hooks, None) for hooks in _HOOKS)
    return not hooked and all(
        getattr(type(module), name, None) is getattr(Module, name, None)
        for name in ("state_dict", "_save_to_state_dict", "get_extra_state", "load_state_dict")
    )
