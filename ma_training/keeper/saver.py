"""The process that writes a checkpoint from the segments of a node: apart from training, and from the agent.

Started by its path; a line of JSON on stdin says what to do (`Order`), one on stdout what came of it
(`Outcome`). The agent has pinned the states that it reads: training goes on meanwhile, and cannot
overwrite them.
"""

import json
import sys

if __name__ == "__main__":
    order_line = sys.stdin.readline()
    sys.path[:] = json.loads(order_line)["path"]  # the launcher's own: nothing of the user's directory

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ma_training.checkpoint import (
    Cause,
    CheckpointError,
    CheckpointState,
    CheckpointStore,
    RankState,
    write_checkpoint,
)
from ma_training.keeper.stock import SHARED, Stock, has_shared
from ma_training.snapshot.slot import Stored


@dataclass(frozen=True, slots=True)
class Order:
    snapshots: tuple[str, ...]  # directories of the segments
    checkpoints: str  # directory to write to
    ranks: tuple[int, ...]  # whose states are wanted; those without any are done without
    step: int
    job: str
    identity: str
    world_size: int
    kind: str  # of the cause
    text: str
    keep: int  # checkpoints that stay


@dataclass(frozen=True, slots=True)
class Outcome:
    step: int | None  # None: nothing was saved
    path: str = ""
    seconds: float = 0.0
    bytes: int = 0
    error: str = ""


def save(order: Order) -> Outcome:
    began = time.monotonic()
    try:
        with Stock(map(Path, order.snapshots), order.ranks) as stock:
            found = state_of(order, stock.at(order.step))
            path = write_checkpoint(Path(order.checkpoints), found)
        CheckpointStore(Path(order.checkpoints)).retain(order.keep)
        return Outcome(order.step, str(path), time.monotonic() - began, found.size)
    except CheckpointError as error:
        return Outcome(None, error=str(error))


def state_of(order: Order, states: dict[int, Stored]) -> CheckpointState:
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
        step=order.step,
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
    values: dict[str, Any] = {name: value for name, value in record.items() if name != "path"}
    return Order(**values | {name: tuple(values[name]) for name in ("snapshots", "ranks")})


if __name__ == "__main__":
    os.nice(5)  # the workers come first
    outcome = save(order_of(json.loads(order_line)))
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
