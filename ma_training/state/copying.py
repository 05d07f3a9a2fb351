"""Copies the leaves of a state into slots of shared memory, as fast as memory allows."""

import sys
from collections.abc import Sequence
from ctypes import memmove
from itertools import accumulate
from typing import Any

from ma_training.snapshot import LeafSpec, Schema, Slot

from .arrays import raw_bytes, views
from .errors import StateError
from .flat import Leaves

LARGE = 32 << 10  # bytes; smaller ones PyTorch copies with one thread, and faster in one call for all


class Block:
    """The leaves of one component, with where they go to in each slot."""

    def __init__(self, leaves: Leaves, offsets: Sequence[int]) -> None:
        self.leaves = leaves
        placed = [(spec, at, value) for (spec, value), at in zip(leaves, offsets, strict=True) if spec.nbytes]
        self._tensors = [one for one in placed if _is_tensor(one[2])]
        self._others = [one for one in placed if not _is_tensor(one[2])]
        self._targets: dict[int, Targets] = {}

    def copy(self, slot: Slot, data: memoryview) -> None:
        if self._tensors:
            if slot.number not in self._targets:
                self._targets[slot.number] = Targets(data, self._tensors)
            self._targets[slot.number].fill()
        for spec, at, value in self._others:
            data[at : at + spec.nbytes] = raw_bytes(value).cast("B")

    def forget(self) -> None:
        """The views that hold the memory of a file."""
        self._targets.clear()


class Targets:
    """Tensors over one slot, and those that are copied there.

    PyTorch divides a large copy among its threads, which then wait for each other: where other processes
    want the cores too, as loaders' workers do, 9 MB were seen to take 128 ms. One thread fills the bus.
    """

    def __init__(self, data: memoryview, placed: Sequence[tuple[LeafSpec, int, Any]]) -> None:
        found = list(zip(views(data, [(spec, at) for spec, at, _ in placed]), placed, strict=True))
        self._large = [
            (target, target.data_ptr(), spec.nbytes, tensor)
            for target, (spec, _, tensor) in found
            if _is_large(spec, tensor)
        ]
        small = [(target, tensor) for target, (spec, _, tensor) in found if not _is_large(spec, tensor)]
        self._small = [target for target, _ in small], [tensor for _, tensor in small]
        self._specs = {id(tensor): spec for spec, _, tensor in placed}

    def fill(self) -> None:
        """Raises StateError for a tensor whose memory was given back: to read there ends the process."""
        if self._small[0]:
            self._check(self._small[1])
            _copy_small(*self._small)
        for target, address, size, tensor in self._large:
            self._check((tensor,))
            if tensor.is_contiguous() and not tensor.is_neg():
                memmove(address, tensor.data_ptr(), size)
            else:
                _copy_small([target], [tensor])

    def _check(self, tensors: Sequence[Any]) -> None:
        addresses = [tensor.data_ptr() for tensor in tensors]
        if not all(addresses):
            freed = next(tensor for tensor in tensors if not tensor.data_ptr())
            raise StateError(
                f"{self._specs[id(freed)].name} has no memory any more: its storage was resized to 0"
            )


class Copier:
    """Keeps what can be kept from one copy to the next: as long as a component gives the same list of
    leaves, only bytes are moved."""

    def __init__(self, parts: Sequence[Leaves]) -> None:
        self.specs = [_specs(leaves) for leaves in parts]
        self.schema = Schema(tuple(spec for specs in self.specs for spec in specs))
        ends = list(accumulate(map(len, self.specs)))
        self._offsets = [
            self.schema.offsets[end - len(own) : end] for own, end in zip(self.specs, ends, strict=True)
        ]
        self._blocks = [Block(leaves, at) for leaves, at in zip(parts, self._offsets, strict=True)]

    def fits(self, parts: Sequence[Leaves]) -> bool:
        """Whether the schema is still the right one. Takes the leaves for those to be copied."""
        if len(parts) != len(self._blocks):
            return False
        for number, leaves in enumerate(parts):
            if leaves is self._blocks[number].leaves:
                continue
            if _specs(leaves) != self.specs[number]:
                return False
            self._blocks[number] = Block(leaves, self._offsets[number])
        return True

    def copy(self, slot: Slot) -> None:
        data = slot.data
        for block in self._blocks:
            block.copy(slot, data)

    def forget(self) -> None:
        """Lets go of a file that is not written to any more."""
        for block in self._blocks:
            block.forget()


def _specs(leaves: Leaves) -> list[LeafSpec]:
    return [spec for spec, _ in leaves]


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_large(spec: LeafSpec, tensor: Any) -> bool:
    return spec.nbytes >= LARGE and bool(tensor.device.type == "cpu")


def _copy_small(targets: list[Any], tensors: list[Any]) -> None:
    import torch

    with torch.no_grad():
        if hasattr(torch, "_foreach_copy_"):  # one call: a third of the time of 5,000
            torch._foreach_copy_(targets, tensors)
            return
        for target, tensor in zip(targets, tensors, strict=True):
            target.copy_(tensor)
