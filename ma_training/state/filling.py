"""Copies what was found into the tensors that there are."""

from collections.abc import Sequence
from typing import Any

from .arrays import fill, pour
from .flat import Found, Leaves
from .stored_leaves import StoredLeaves


def fill_all(leaves: Leaves, found: Found) -> None:
    """Each of ``leaves`` from the one of its name in ``found``, which has just its type and shape."""
    if isinstance(found, StoredLeaves) and _pour(leaves, found):
        return
    for spec, tensor in leaves:
        fill(tensor, found[spec.name][1])


def _pour(leaves: Leaves, found: StoredLeaves) -> bool:
    addresses: Sequence[int] = found.addresses
    if [spec for spec, _ in leaves] != found.specs:
        by_name = dict(zip(found, addresses, strict=True))
        addresses = [by_name[spec.name] for spec, _ in leaves]
    tensors: list[Any] = [tensor for _, tensor in leaves]
    return pour(addresses, sizes_of(leaves), tensors)


def sizes_of(leaves: Leaves) -> list[int]:
    """Bytes of each."""
    return [tensor.nbytes for _, tensor in leaves]
