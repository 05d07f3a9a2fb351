"""Small states, and checkpoints of them that can be damaged."""

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ma_training.checkpoint import Cause, CheckpointState, Leaf, RankState, write_checkpoint
from ma_training.snapshot.leaves import LeafSpec


def leaf(name: str, *numbers: float) -> Leaf:
    """An F32 vector."""
    return LeafSpec(name, "F32", (len(numbers),)), memoryview(array("f", numbers))


def state(step: int = 1, **changes: Any) -> CheckpointState:
    """Of two ranks, with leaves that say the step."""
    fields: dict[str, Any] = {
        "job": "digits-1",
        "identity": "digits",
        "step": step,
        "epoch": step // 100,
        "world_size": 2,
        "cause": Cause("periodic"),
        "meta": {"step": step, "epoch": step // 100},
        "leaves": [leaf("model/weight", step, 2.0, 3.0), leaf("optimizer/momentum", step)],
        "ranks": {rank: RankState({"rank": rank}, [leaf("rng", rank, step)]) for rank in (0, 1)},
    }
    return CheckpointState(**(fields | changes))


def written(root: Path, *steps: int, **changes: Any) -> list[Path]:
    """A checkpoint of each step."""
    return [write_checkpoint(root, state(step, **changes)) for step in steps]


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Changes one bit of a file, without a change of its size."""
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def content(path: Path) -> Mapping[str, bytes]:
    """Every file under ``path``, by its name in it."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()
    }
