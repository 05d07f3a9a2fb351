"""What one rank is busy with, judged by its stacks. Pure."""

from dataclasses import dataclass

from .samples import Sample, Thread
from .waiting import (
    collective_of,
    in_exit,
    in_loader,
    in_lock,
    in_logging,
    in_users_code,
    is_meeting,
    may_wait,
    place,
)


@dataclass(frozen=True, slots=True)
class Activity:
    kind: str  # see `culprit`
    what: str  # "all_reduce"; or words that follow "is": "in the data loader"
    where: str = ""  # "data.py:41"
    more: str = ""  # in brackets
    cause: str = ""  # for the catalogue

    running: bool = False  # of one that may wait: it computes, or spins
    weak: bool = False  # a wait in C, or a loop there, that could be one for its peers: not to be told apart

    @property
    def waits(self) -> bool:
        return self.kind in ("collective", "meeting")

    @property
    def may_wait(self) -> bool:
        return self.kind == "maybe"

    def words(self, count: int) -> str:
        """What follows "rank 2", or with ``count`` > 1 "ranks 1, 2"."""
        at = f" at {self.where}" if self.where else ""
        more = f" ({self.more})" if self.more else ""
        if self.may_wait and self.running:
            return f"{'are' if count > 1 else 'is'} in {self.what}{at}{more}"
        if self.waits or self.may_wait:
            return f"{'wait' if count > 1 else 'waits'} in {self.what}{at}{more}"
        if self.kind == "mute":
            return self.what if count == 1 else self.what.replace("is ", "are ", 1).replace("sits", "sit", 1)
        return f"{'are' if count > 1 else 'is'} {self.what}{at}{more}"


def activity_of(sample: Sample) -> Activity:
    frames = sample.main.frames
    where = place(frames)
    if sample.stopped:
        held = "stopped (SIGSTOP)" if sample.state == "T" else "held by a debugger"
        return Activity("stopped", held, where, cause="stopped")
    if not frames:
        return _without_stack(sample)
    if holder := _gil_holder(sample):
        return Activity("gil", "in C code that holds the GIL", place(holder.frames), cause="gil")
    collective = collective_of(frames)
    if collective:
        meeting = is_meeting(collective)
        return Activity("meeting" if meeting else "collective", collective, where)
    if in_exit(frames):
        return Activity("exit", "past the end of its script", _exit_place(sample), cause="exit")
    if in_loader(frames):
        return _loading(sample, where)
    if called := may_wait(frames):
        return Activity("maybe", called, where, running=sample.state == "R")
    return _own(sample, where)


def _without_stack(sample: Sample) -> Activity:
    if sample.state == "D":
        return Activity("kernel", "in the kernel", "", sample.waits_for, "kernel")
    return Activity("mute", sample.problem or "shows no stack", cause="mute")


def _gil_holder(sample: Sample) -> Thread | None:
    """A thread that has the GIL and sleeps: Python code gives it up before it does."""
    return next((thread for thread in sample.threads if thread.owns_gil and thread.state in ("S", "D")), None)


def _exit_place(sample: Sample) -> str:
    """The handler's place in the user's code; else that of a thread that is waited for."""
    if in_users_code(sample.main.frames):
        return place(sample.main.frames)
    others = [place(thread.frames) for thread in sample.threads if not thread.main and thread.frames]
    return next((where for where in others if where), place(sample.main.frames))


def _loading(sample: Sample, where: str) -> Activity:
    workers = [child for child in sample.children if in_loader(child.main.frames)]
    child = next((worker for worker in workers if worker.stopped or in_users_code(worker.main.frames)), None)
    if child is None:
        return Activity("loader", "in the data loader", where, _kernel(sample), "loader")
    at = place(child.main.frames)
    state = "is stopped" if child.stopped else _kernel(child)
    more = f"its worker process {child.pid}{f' {state}' if child.stopped else f', {state}' if state else ''}"
    return Activity("loader", "in the data loader", at or where, more, "loader")


def _own(sample: Sample, where: str) -> Activity:
    frames, waits = sample.main.frames, sample.waits_for
    if waits.startswith(("write ", "writev ")):
        kind = "log writer" if in_logging(frames) or "pipe:" in waits or "tty" in waits else "write"
        return Activity(
            "write", "writing what no one takes" if kind == "log writer" else "writing", where, waits, kind
        )
    if waits.startswith(("read ", "readv ", "pread ", "recvfrom ", "recvmsg ")):
        return Activity("read", "reading", where, waits, "read", weak="socket:" in waits)
    if sample.state == "D":
        return Activity("kernel", "in the kernel", where, waits, "kernel")
    if in_lock(frames) or waits == "a lock":
        return Activity("lock", "waiting for a lock", where, cause="lock", weak=not in_lock(frames))
    if waits == "sleep":
        return Activity("own", "asleep", where, cause="sleep")
    if sample.state == "R":
        return Activity("busy", "busy", where, cause="busy", weak=True)
    more = waits if waits in ("poll", "a child process") else ""
    return Activity("own", "waiting", where, more, "own", weak=waits != "a child process")


def _kernel(sample: Sample) -> str:
    return sample.waits_for if sample.waits_for.startswith(("read", "pread", "write", "recv")) else ""
