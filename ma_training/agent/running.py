"""Finds a running job's processes on this machine from outside: for `launcher dump`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ma_training.events import Event, read_events

from .shim import children_of

SHIM = "launcher-shim"


@dataclass(frozen=True, slots=True)
class RunningWorker:
    rank: int
    pid: int
    job: str


@dataclass(frozen=True, slots=True)
class Node:
    """Where an agent of a run was started."""

    name: str
    host: str
    pid: int

    @property
    def here(self) -> bool:
        return self.host == os.uname().nodename


def nodes_of(run: Path) -> list[Node]:
    """Of a run directory, as the events in it say."""
    found = {}
    for event in read_events(run / "events"):
        if event.kind == "job.started":
            found[event.node] = _node(event)
    return list(found.values())


def has_ended(run: Path) -> bool:
    return any(run.glob("result*.json"))


def _node(event: Event) -> Node:
    pid = event.data.get("pid")
    return Node(event.node, str(event.data.get("host", "")), pid if isinstance(pid, int) else 0)


def workers_of(pid: int) -> list[RunningWorker]:
    """Of an agent, a shim, or a worker itself, by rank; none where ``pid`` is none of these.

    Raises PermissionError where they are another user's.
    """
    return sorted(_workers(pid), key=lambda worker: worker.rank)


def _workers(pid: int) -> Iterator[RunningWorker]:
    if command_of(parent_of(pid)) == SHIM:
        yield from _worker(pid)
        return
    shims = [pid] if command_of(pid) == SHIM else [one for one in children_of(pid) if command_of(one) == SHIM]
    for shim in shims:
        # The first is the worker; a shim also adopts what a worker's descendants leave behind.
        leaders = [child for child in children_of(shim) if _leads_session(child)]
        for worker in leaders[:1]:
            yield from _worker(worker)


def _worker(pid: int) -> Iterator[RunningWorker]:
    variables = environ_of(pid)
    rank, job = variables.get("LAUNCHER_WORKER_RANK", ""), variables.get("LAUNCHER_WORKER_JOB", "")
    if rank.isdecimal():
        yield RunningWorker(int(rank), pid, job)


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def environ_of(pid: int) -> dict[str, str]:
    """What it was started with. Raises PermissionError for another user's process."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (os.fsdecode(item).partition("=") for item in text.split(b"\0"))
    return {name: value for name, _, value in pairs}


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parent_of(pid: int) -> int:
    """0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def owner_of(pid: int) -> int | None:
    """User id; None where it is gone."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except FileNotFoundError:
        return None
