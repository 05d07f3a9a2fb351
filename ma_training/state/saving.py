"""Writes checkpoints from this process: from the segments, or from the live state where there are none."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ma_training.checkpoint import (
    Cause,
    CheckpointError,
    CheckpointState,
    CheckpointStore,
    RankState,
    write_checkpoint,
)
from ma_training.checkpoint.safetensors_file import Leaf

from .agreement import newest_common
from .flat import Flat
from .homes import Home
from .live import content
from .recall import Recollection, Source, recollect
from .speech import say, shown
from .surroundings import Surroundings


class Saver:
    """Never raises: a checkpoint that cannot be written costs no training. Says what came of it."""

    def __init__(self, here: Surroundings, home: Home, keep: int) -> None:
        self._here, self._home, self._keep = here, home, keep

    def from_memory(self, cause: Cause) -> None:
        """The newest step in memory; nothing where there is none, or where it is on disk already."""
        here = self._here
        own = recollect(self._home, here.rank, here.world_size, here.identity)
        key = newest_common([own.holding()])
        if key is not None:
            source = own.source(key)
            others = self._others(key)
            self._write(source, others | ({here.rank: _rank_state(source)} if source.rank else {}), cause)

    def from_live(
        self, stamp: Mapping[str, Any], shared: Mapping[str, Flat], rank: Flat, cause: Cause
    ) -> None:
        """The state as it is now."""
        tree = {name: json.loads(flat.text) for name, flat in shared.items()}
        leaves = [(spec, content(value)) for flat in shared.values() for spec, value in flat.leaves]
        own = RankState(
            {"stamp": dict(stamp), "rank": json.loads(rank.text)},
            [(spec, content(value)) for spec, value in rank.leaves],
        )
        self._save(dict(stamp), tree, leaves, {self._here.rank: own}, cause)

    def _others(self, key: int) -> dict[int, RankState]:
        here, found = self._here, {}
        for rank in range(here.world_size):
            theirs: Recollection = recollect(self._home, rank, here.world_size, here.identity)
            source = theirs.private_source(key) if rank != here.rank else None
            if source:
                found[rank] = _rank_state(source)
        return found

    def _write(self, source: Source, ranks: dict[int, RankState], cause: Cause) -> None:
        self._save(source.stamp, source.shared, list(source.found.values()), ranks, cause)

    def _save(
        self,
        stamp: dict[str, Any],
        tree: dict[str, Any],
        leaves: Sequence[Leaf],
        ranks: Mapping[int, RankState],
        cause: Cause,
    ) -> None:
        here = self._here
        state = CheckpointState(
            job=here.job,
            identity=here.identity,
            step=stamp["step"],
            epoch=stamp["epoch"],
            world_size=here.world_size,
            cause=cause,
            meta={"stamp": stamp, "shared": tree},
            leaves=leaves,
            ranks=ranks,
        )
        store = CheckpointStore(here.checkpoints)
        try:
            path = write_checkpoint(here.checkpoints, state)
            store.retain(self._keep)
            say(f"step {state.step} saved to {shown(path)} ({cause.kind})")
        except CheckpointError as error:
            say(f"step {state.step} not saved: {error}")


def _rank_state(source: Source) -> RankState:
    return RankState({"stamp": source.stamp, "rank": source.rank}, list(source.own.values()))
