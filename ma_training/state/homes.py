"""Where the segments of ranks are: in the agent's directory, or each rank's own where there is no agent."""

import os
import time
from pathlib import Path
from typing import Protocol

from ma_training.snapshot import JobDirectory, SnapshotError, default_root, job_key, sweep

from .speech import say_here
from .surroundings import Surroundings

FORGOTTEN = 24 * 3600  # seconds: what a script that nobody started again has left in memory


class Home(Protocol):
    """``places``: where a rank's segment may be, shared memory first; none where there can be none."""

    def places(self, rank: int) -> list[Path]: ...
    def ranks(self) -> list[int]: ...
    def leave(self, keep: bool) -> None: ...


class AgentsHome:
    """The agent owns the directory; this process only its file in it."""

    def __init__(self, here: Surroundings, directory: Path) -> None:
        self._here, self._directory = here, directory

    def places(self, rank: int) -> list[Path]:
        names = [self._directory, *([self._here.disk] if self._here.disk else [])]
        return [directory / f"rank-{rank}.snap" for directory in names]

    def ranks(self) -> list[int]:
        return [rank for rank in range(self._here.world_size) if any(p.exists() for p in self.places(rank))]

    def leave(self, keep: bool) -> None:
        """Nothing: the agent decides."""


class OwnHome:
    """A directory a rank, found again by the next run of the same script."""

    def __init__(self, here: Surroundings, root: Path | None = None) -> None:
        self._here, self._root = here, root or default_root()
        self._directory: JobDirectory | None = self._of(here.rank)
        try:
            self._directory.acquire(here.job)
        except SnapshotError as error:
            # Two runs of one script at the same time: which is to be resumed, nobody could say.
            say_here(f"no snapshots: {error}\nhint: TrainingState(..., name=...)")
            self._directory = None
        else:
            # A loader's workers outlive a killed script by seconds, and a lock is shared with who was forked.
            os.register_at_fork(after_in_child=self._disown)
            sweep(self._root, age=FORGOTTEN, now=time.time())

    def places(self, rank: int) -> list[Path]:
        names = [self._of(rank).path, *([self._here.disk] if self._here.disk else [])]
        return [directory / f"rank-{rank}.snap" for directory in names] if self._directory else []

    def ranks(self) -> list[int]:
        return [rank for rank in range(self._here.world_size) if any(p.exists() for p in self.places(rank))]

    def leave(self, keep: bool) -> None:
        if self._directory and keep:
            self._directory.release()
        elif self._directory:
            self._directory.remove()
        self._directory = None

    def _disown(self) -> None:
        if self._directory:
            self._directory.release()

    def _of(self, rank: int) -> JobDirectory:
        return JobDirectory(self._root, job_key(f"{self._here.identity}#rank{rank}"))


def home(here: Surroundings) -> Home:
    return AgentsHome(here, here.snapshots) if here.snapshots else OwnHome(here)
