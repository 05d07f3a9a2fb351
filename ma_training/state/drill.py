"""What `launcher drill` has a training script do: die at one step, and tell its state at another.

LAUNCHER_WORKER_DRILL = {"stop_at": N, "kill_at": K or null, "kill_rank": 0, "out": directory}
"""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .flat import Flat
from .live import digests
from .surroundings import Surroundings


def after_commit(
    here: Surroundings, stamp: Mapping[str, Any], shared: Mapping[str, Flat], rank: Flat
) -> None:
    """Does not return where this is the step to end at: raises SystemExit, or the process dies."""
    drill, step = here.drill, stamp["step"]
    if drill is None:
        return
    if here.attempt == 0 and step == drill.get("kill_at") and here.rank == drill.get("kill_rank", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if step == drill["stop_at"]:
        _tell(Path(drill["out"]), here.rank, stamp, shared, rank)
        raise SystemExit(0)


def _tell(out: Path, own: int, stamp: Mapping[str, Any], shared: Mapping[str, Flat], rank: Flat) -> None:
    trees = {name: json.loads(flat.text) for name, flat in shared.items()}
    told = {name: value for name, value in stamp.items() if name not in ("attempt", "job", "identity")}
    record = {
        "step": stamp["step"],
        "leaves": digests([*shared.values(), rank]),
        "meta": {"stamp": told, "shared": trees, "rank": json.loads(rank.text)},
    }
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / f".rank-{own}.json.new"
    unfinished.write_text(json.dumps(record))
    unfinished.rename(out / f"rank-{own}.json")
