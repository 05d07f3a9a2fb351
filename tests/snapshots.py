"""States whose every byte tells their step: what is torn, or another's, is known by sight."""

import json

from ma_training.snapshot import LeafSpec, Schema, Segment, Stored

SCHEMA = Schema(
    (LeafSpec("model/w", "F32", (5, 7)), LeafSpec("empty", "F16", (0,)), LeafSpec("opt/m", "I64", (9,)))
)


def commit(segment: Segment, step: int) -> int | None:
    """Writes a state all of whose bytes tell its step; its slot's number."""
    slot = segment.begin(step)
    if slot is None:
        return None
    slot.data[:] = bytes([step % 251]) * SCHEMA.data_bytes
    slot.publish(json.dumps({"step": step, "epoch": 0}).encode())
    return slot.number


def content(state: Stored) -> bool:
    """Whether every leaf, and the meta, are of the state's step."""
    leaves = (state.leaf(leaf.name) for leaf in SCHEMA.leaves)
    return state.meta["step"] == state.step and all(set(leaf) <= {state.step % 251} for leaf in leaves)


def steps(segment: Segment, verify: bool = False) -> list[int]:
    states = segment.states(verify=verify)
    assert all(map(content, states))
    return [state.step for state in states]
