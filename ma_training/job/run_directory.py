"""Where everything about one run is kept.

runs/<job-id>/
    plan.json             what was resolved before anything started
    result.json           how it ended
    events/<node>.ndjson  what happened, a line each
    attempt-<k>/<node>-rank<r>.log
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path


class RunDirectoryError(Exception):
    """The run directory cannot be made or written; the text says where and why."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    path: Path
    job_id: str

    @classmethod
    def create(cls, base: Path, job_id: str) -> "RunDirectory":
        """Makes ``base/<job_id>``, or ``<job_id>-2`` and so on where two runs began in one second."""
        try:
            base.mkdir(parents=True, exist_ok=True)
            return cls._claim(base, job_id)
        except OSError as error:
            where = error.filename or base
            raise RunDirectoryError(
                f"cannot write the run directory {base}: {os.strerror(error.errno or errno.EIO)} ({where})"
            ) from None

    def discard(self) -> None:
        """Another one is used after all. Nothing has been written to this one."""
        (self.path / "events").rmdir()
        self.path.rmdir()

    @classmethod
    def join(cls, base: Path, job_id: str) -> "RunDirectory":
        """The directory of a run that another node has begun: the same one, where they share a disk."""
        path = base / job_id
        try:
            (path / "events").mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            where = error.filename or base
            raise RunDirectoryError(
                f"cannot write the run directory {path}: {os.strerror(error.errno or errno.EIO)} ({where})"
            ) from None
        return cls(path, job_id)

    @classmethod
    def _claim(cls, base: Path, job_id: str) -> "RunDirectory":
        suffix = 1
        while True:
            unique = job_id if suffix == 1 else f"{job_id}-{suffix}"
            path = base / unique
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                suffix += 1
                continue
            (path / "events").mkdir(mode=0o700)
            return cls(path, unique)

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    def events(self, node: str) -> Path:
        return self.path / "events" / f"{node}.ndjson"

    def incident(self, attempt: int) -> Path:
        return self.path / "incidents" / str(attempt) / "incident.json"

    def attempt(self, index: int) -> Path:
        return self.path / f"attempt-{index}"

    def log(self, attempt: int, node: str, rank: int) -> Path:
        return self.attempt(attempt) / f"{node}-rank{rank}.log"
