"""What `launcher drill` has a training script do: die at one step, and tell its state at another.

LAUNCHER_WORKER_DRILL = {"stop_at": N, "kill_at": K or null, "kill_rank": 0, "out": directory}
"""

import json
import os
import signal
import time
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
    out = Path(drill["out"])
    (out / f"rank-{here.rank}.step").write_text(str(step))
    if here.attempt == 0 and step == drill.get("kill_at") and here.rank == drill.get("kill_rank", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if step == drill["stop_at"]:
        _tell(out, here.rank, stamp, shared, rank)
        raise SystemExit(0)


def after_restore(here: Surroundings, step: int, where: str, seconds: float, rank: Flat) -> None:
    """That a run went on must be told: one that begins anew comes to the same end. The random generators
    too: one that nobody seeded differs from run to run, which matters only where it moves from here on."""
    if here.drill is not None:
        record = {"step": step, "where": where, "seconds": seconds, "at": time.time()}
        _write(Path(here.drill["out"]) / f"rank-{here.rank}.restored", {**record, "leaves": digests([rank])})


def _tell(out: Path, own: int, stamp: Mapping[str, Any], shared: Mapping[str, Flat], rank: Flat) -> None:
    trees = {name: json.loads(flat.text) for name, flat in shared.items()}
    told = {name: value for name, value in stamp.items() if name not in ("attempt", "job", "identity")}
    flats = [*shared.values(), rank]
    record = {
        "step": stamp["step"],
        "leaves": digests(flats),
        "bytes": sum(spec.nbytes for flat in flats for spec, _ in flat.leaves),
        "meta": {"stamp": told, "shared": trees, "rank": json.loads(rank.text)},
    }
    _write(out / f"rank-{own}.json", record)


def _write(path: Path, record: Mapping[str, Any]) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(json.dumps(record))
    unfinished.rename(path)
