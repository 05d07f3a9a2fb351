"""The process that writes a checkpoint from the segments of a node: apart from training, and from the agent.

Started by its path; a line of JSON on stdin says what to do (`Order`), one on stdout what came of it
(`Outcome`). The states that it reads are pinned: training goes on meanwhile, and cannot overwrite them.
"""

import json
import sys

if __name__ == "__main__":
    order_line = sys.stdin.readline()
    sys.path[:] = json.loads(order_line)["path"]  # the launcher's own: nothing of the user's directory

import os
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ma_training.checkpoint import (
    Cause,
    CheckpointError,
    CheckpointState,
    Library,
    RankState,
    remove,
    write_checkpoint,
)
from ma_training.keeper.stock import SHARED, Stock, has_shared
from ma_training.snapshot.slot import Stored

TRIES = 20  # to pin what a writer may be about to overwrite


@dataclass(frozen=True, slots=True)
class Order:
    snapshots: str  # directory of the segments
    checkpoints: str  # directory to write to
    ranks: tuple[int, ...]  # whose states are wanted; those without any are done without
    job: str
    identity: str
    world_size: int
    kind: str  # of the cause
    text: str
    keep: int  # checkpoints that stay
    newer_than: int = -1  # no older step is of interest: it is on disk


@dataclass(frozen=True, slots=True)
class Outcome:
    step: int | None  # None: nothing was saved
    path: str = ""
    seconds: float = 0.0
    bytes: int = 0
    error: str = ""  # '' with no step: there was nothing to save


def save(order: Order) -> Outcome:
    began = time.monotonic()
    try:
        with Stock(Path(order.snapshots), order.ranks) as stock:
            for _ in range(TRIES):
                step = stock.newest()
                if step is None or step <= order.newer_than:
                    return Outcome(None)
                states = stock.at(step)
                if _pin(states.values()):
                    return _write(order, step, states, began)
                stock.refresh()
        return Outcome(None, error="training overwrote each state before it could be pinned")
    except CheckpointError as error:
        return Outcome(None, error=str(error))


def _pin(states: Any) -> bool:
    pinned: list[Stored] = []
    for state in states:
        if not state.pin():
            for other in pinned:
                other.unpin()
            return False
        pinned.append(state)
    return True


def _write(order: Order, step: int, states: dict[int, Stored], began: float) -> Outcome:
    root = Path(order.checkpoints)
    with ExitStack() as stack:
        for state in states.values():
            stack.callback(state.unpin)
        found = state_of(order, step, states)
        path = write_checkpoint(root, found)
        if not all(state.is_there() for state in states.values()):
            remove(path)
            raise CheckpointError(f"{path}: its state was overwritten while it was saved")
    Library(root).retain(order.keep)
    return Outcome(step, str(path), time.monotonic() - began, found.size)


def state_of(order: Order, step: int, states: dict[int, Stored]) -> CheckpointState:
    """The replicated part from the lowest rank that has it, and each rank's own."""
    source = next(state for _, state in sorted(states.items()) if has_shared(state))
    own = {
        rank: RankState(
            {"stamp": state.meta.get("stamp", {}), "rank": state.meta.get("rank", {})},
            [
                (leaf, state.leaf(leaf.name))
                for leaf in state.schema.leaves
                if not leaf.name.startswith(SHARED)
            ],
        )
        for rank, state in states.items()
    }
    stamp = source.meta.get("stamp", {})
    return CheckpointState(
        job=order.job,
        identity=order.identity,
        step=step,
        epoch=int(stamp.get("epoch", 0)),
        world_size=int(stamp.get("world_size", order.world_size)),
        cause=Cause(order.kind, order.text),
        meta={"stamp": stamp, "shared": source.meta.get("shared", {})},
        leaves=[
            (leaf, source.leaf(leaf.name)) for leaf in source.schema.leaves if leaf.name.startswith(SHARED)
        ],
        ranks=own,
    )


def order_of(record: dict[str, Any]) -> Order:
    return Order(
        **{name: value for name, value in record.items() if name != "path"}
        | {"ranks": tuple(record["ranks"])}
    )


if __name__ == "__main__":
    os.nice(5)  # the workers come first
    outcome = save(order_of(json.loads(order_line)))
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
