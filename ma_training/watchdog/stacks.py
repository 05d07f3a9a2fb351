"""Takes the stacks of all workers at once, within a time, whatever state they are in.

First py-spy reads them from outside, in parallel. Whom it cannot read is asked to print its stacks
(faulthandler, by a signal), which a process that is stopped, or sits in the kernel, does not do:
then that is the answer. Nothing here waits for longer than the deadline.
"""

import itertools
import os
import select
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from . import faulthandler_text, pyspy
from .asking import Asked, Silence, ask_all
from .kernel_state import continue_if_stopped, main_state, problem_of, waits_for
from .process_tree import state_of
from .samples import FAULTHANDLER, PY_SPY, Sample, Thread

TIMEOUT = 2.0  # seconds for all of it
MOST_CHILDREN = 32  # processes of a rank, besides the worker, that are looked at
AT_ONCE = max(4, 2 * (os.cpu_count() or 1))  # py-spies: more than there are cores only hold each other up
_SPIES_SHARE = 0.6  # of the time; what is left is for asking

Found: TypeAlias = tuple[Thread, ...] | str  # threads, or why there are none


class StacksAsked(Asked, Protocol):
    """A worker that prints its stacks when it is asked to."""

    @property
    def main_thread(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A worker, and the processes that it has started."""

    rank: int
    pid: int
    asked: StacksAsked | None = None
    children: tuple[int, ...] = ()


def take(
    subjects: Sequence[Subject],
    timeout: float = TIMEOUT,
    native: bool = False,
    spy: str | None = None,
) -> tuple[Sample, ...]:
    """A sample of each, in their order. ``native``: frames of C too; a process is paused meanwhile.

    ``spy``: the program, '' for none; by default it is looked for.
    """
    started = time.monotonic()
    program = pyspy.find() if spy is None else spy
    # Workers first: where time is short, none of them is left out for another's children.
    turns = itertools.zip_longest(*map(_pids, subjects))
    pids = [pid for turn in turns for pid in turn if pid is not None]
    spied = _spy(program, pids, native, started + timeout * _SPIES_SHARE) if program else {}
    mute = [subject for subject in subjects if isinstance(spied.get(subject.pid, "not found"), str)]
    answers = _ask({subject.pid: subject.asked for subject in mute}, started + timeout)
    answers |= _ask_children(subjects, spied, started + timeout)
    return tuple(_sample(subject, spied, answers, bool(program)) for subject in subjects)


def _pids(subject: Subject) -> list[int]:
    return [subject.pid, *[pid for pid in subject.children if pid != subject.pid][:MOST_CHILDREN]]


def _sample(
    subject: Subject,
    spied: Mapping[int, Found],
    answers: Mapping[int, Found],
    looked: bool,
) -> Sample:
    one, *others = (_one(subject.rank, pid, spied, answers, looked) for pid in _pids(subject))
    return replace(one, children=tuple(child for child in others if child.threads))


def _one(
    rank: int, pid: int, spied: Mapping[int, Found], answers: Mapping[int, Found], looked: bool
) -> Sample:
    found, answer = spied.get(pid, ""), answers.get(pid, "")
    sample = Sample(rank, pid, state=main_state(pid), waits_for=waits_for(pid))
    if isinstance(found, tuple):
        return replace(sample, threads=found, method=PY_SPY)
    if isinstance(answer, tuple):
        return replace(sample, threads=answer, method=FAULTHANDLER)
    why = [f"py-spy: {found}" if looked else "py-spy is not installed", answer]
    problem = problem_of(pid, sample.state)
    return replace(sample, problem=problem or f"cannot be looked at ({'; '.join(filter(None, why))})")


# --- from outside ---


class _Spy:
    """One py-spy at work. What it writes goes into memory, so that it never waits for us."""

    def __init__(self, program: str, pid: int, native: bool) -> None:
        self.pid, self._native = pid, native
        self._running_before = main_state(pid) not in ("T", "t")
        self._out, self._err = os.memfd_create("stacks-out"), os.memfd_create("stacks-err")
        self.process = subprocess.Popen(
            pyspy.command(program, pid, native), stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err
        )
        self.pidfd = os.pidfd_open(self.process.pid)

    def result(self) -> Found:
        """Threads, or why there are none. Kills it where it has not ended."""
        try:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
                if self._native and self._running_before:
                    continue_if_stopped(self.pid)
                return "it did not answer in time"
            if self.process.returncode:
                return pyspy.reason(_text(self._err))
            threads = pyspy.parse(_text(self._out), self.pid)
            return tuple(map(self._with_state, threads)) or "it found no thread"
        except ValueError as error:
            return f"its output cannot be read: {error}"
        finally:
            for descriptor in (self._out, self._err, self.pidfd):
                os.close(descriptor)

    def _with_state(self, thread: Thread) -> Thread:
        return replace(thread, state=state_of(f"/proc/{self.pid}/task/{thread.number}/stat"))


def _text(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode(errors="replace")


def _spy(program: str, pids: Iterable[int], native: bool, deadline: float) -> dict[int, Found]:
    results: dict[int, Found] = {}
    waiting = list(pids)[::-1]
    running: dict[int, _Spy] = {}
    poller = select.poll()
    while (waiting or running) and time.monotonic() < deadline:
        while waiting and len(running) < AT_ONCE:
            pid = waiting.pop()
            try:
                spy = _Spy(program, pid, native)
            except OSError as error:
                results[pid] = f"{error.strerror}"
                continue
            running[spy.pidfd] = spy
            poller.register(spy.pidfd, select.POLLIN)
        for pidfd, _ in poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            poller.unregister(pidfd)
            done = running.pop(pidfd)
            results[done.pid] = done.result()
    for late in running.values():
        results[late.pid] = late.result()
    return results


# --- from inside ---


def _ask(asked: Mapping[int, StacksAsked | None], deadline: float) -> dict[int, Found]:
    """``asked``: whom, by pid."""
    able = {pid: one for pid, one in asked.items() if one is not None}
    results: dict[int, Found] = dict.fromkeys(asked, "it cannot be asked")
    for pid, answer in ask_all(able, deadline).items():
        if isinstance(answer, Silence):
            results[pid] = answer.why
        else:
            threads = faulthandler_text.parse(answer, able[pid].main_thread)
            results[pid] = threads or "it printed no stack"
    return results


def _ask_children(
    subjects: Sequence[Subject], spied: Mapping[int, Found], deadline: float
) -> dict[int, Found]:
    """Forks of a worker print where it does: one of each worker at a time."""
    mute = {
        subject: [pid for pid in _pids(subject)[1:] if isinstance(spied.get(pid, ""), str)]
        for subject in subjects
        if subject.asked
    }
    results: dict[int, Found] = {}
    for turn in itertools.zip_longest(*([(pid, subject) for pid in pids] for subject, pids in mute.items())):
        results |= _ask({pid: subject.asked for pid, subject in filter(None, turn)}, deadline)
    return results
