"""Gives the shared part of a state to the ranks whose node has not got it."""

import json
from typing import Any

from ma_training.snapshot import LeafSpec

from .group import Group
from .recall import Source
from .stored_leaves import specs_of


def share_source(group: Group, own: Source | None) -> Source:
    """``own`` where all ranks have the shared part; else with that of the lowest rank that has it."""
    has = [bool(numbers[0]) for numbers in group.gather([bool(own and own.shared)])]
    if all(has) and own:
        return own
    giver = has.index(True)
    outline = json.loads(bytes(group.spread(_outline(own) if group.rank == giver and own else b"", giver)))
    received: dict[str, tuple[LeafSpec, memoryview]] = {}
    for name, dtype, shape in outline["leaves"]:
        data = own.found[name][1] if group.rank == giver and own else b""
        received[name] = (LeafSpec(name, dtype, tuple(shape)), group.spread(data, giver))
    if has[group.rank] and own:
        return own
    return Source(
        outline["where"],
        outline["stamp"],
        outline["shared"],
        own.rank if own else None,
        received,
        own.own if own else {},
        outline["cause"],
        own.stored if own else (),
    )


def _outline(source: Source) -> bytes:
    leaves: list[Any] = [[spec.name, spec.dtype, spec.shape] for spec in specs_of(source.found)]
    return json.dumps(
        {
            "where": source.where,
            "stamp": source.stamp,
            "shared": source.shared,
            "cause": source.cause,
            "leaves": leaves,
        }
    ).encode()
