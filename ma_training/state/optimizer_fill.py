"""Puts an optimizer's tensors back without load_state_dict(), which looks through all parameters for each.

Its groups still go through that, without tensors: it says what does not fit, and adds what they lack.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ma_training.snapshot import LeafSpec

from .arrays import describe, torch_type
from .filling import fill_all
from .flat import Found, Leaves, build
from .optimizer_watch import loads_plainly
from .stored_leaves import specs_of


@dataclass(frozen=True, slots=True)
class Plan:
    """``old`` is the state before, whose tensors are used again; ``parameters`` by their saved numbers."""

    prefix: str
    groups: list[dict[str, Any]]
    others: dict[int, dict[str, Any]]  # what is no tensor
    parameters: dict[int, Any]
    old: dict[Any, dict[str, Any]]

    def fill(self, optimizer: Any, found: Found) -> None:
        """``optimizer`` has its groups, and no state."""
        leaves: Leaves = []
        for number, key, spec in self._entries(found):
            parameter = self.parameters[number]
            tensor = _tensor(self.old.get(parameter, {}).get(key), spec)
            optimizer.state[parameter][key] = tensor
            leaves.append((spec, tensor))
        for number, others in self.others.items():
            optimizer.state[self.parameters[number]].update(others)
        fill_all(leaves, found)

    def _entries(self, found: Found) -> Iterator[tuple[int, str, LeafSpec]]:
        start = len(self.prefix) + 1
        for spec in specs_of(found):
            number, _, key = spec.name[start:].partition("/")
            yield int(number), key, spec

    def fits(self, found: Found) -> bool:
        """Whether all tensors are of parameters here, and would be left as they are: others are cast."""
        types = {number: _type_of(parameter) for number, parameter in self.parameters.items()}
        return self.others.keys() <= types.keys() and all(
            number in types
            and (spec.dtype == "F32" if key == "step" else types[number] in (None, spec.dtype))
            for number, key, spec in self._entries(found)
        )


def plan_for(optimizer: Any, tree: Any, found: Found) -> Plan | None:
    """None where load_state_dict() is to do it: where it made the state, has hooks, or would cast."""
    state = tree.get("state")
    if not isinstance(state, dict) or "$state" not in state or not loads_plainly(optimizer):
        return None
    groups, others = build(tree["param_groups"], {}), build(state["also"], {})
    own, saved = _parameters(optimizer.param_groups), _parameters(groups)
    if len(own) != len(saved) or not all(parameter.is_cpu for parameter in own):
        return None
    by_number = dict(zip(saved, own, strict=True))
    plan = Plan(state["$state"], groups, others, by_number, dict(optimizer.state))
    return plan if plan.fits(found) else None


def _parameters(groups: list[dict[str, Any]]) -> list[Any]:
    return list(chain.from_iterable(group["params"] for group in groups))


def _type_of(parameter: Any) -> str | None:
    """What all of its state is cast to, but for "step"; None where it is not."""
    found = describe("parameter", parameter) if parameter.is_floating_point() else None
    return found[0].dtype if found else None


def _tensor(old: Any, spec: LeafSpec) -> Any:
    """``old`` where the content of ``spec`` can be put into that, else a new one."""
    import torch

    fits = type(old) is torch.Tensor and old.is_cpu and tuple(old.shape) == spec.shape
    if fits and torch_type(spec) is old.dtype:
        return old
    return torch.empty(spec.shape, dtype=torch_type(spec))
