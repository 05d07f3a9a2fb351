"""Processes of one round: started, watched to their end, and none left behind.

This process becomes a subreaper, so that whatever a launcher loses on its way out becomes a child of
this one: found by descent alone, and killed.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
CLEANED_WITHIN = 60.0  # seconds: the kernel frees 12 GB of a killed worker in about one
LOOK_EVERY = 0.02


class RoundFailed(Exception):
    """One round of one side did not come to its end; the others go on."""


@dataclass(frozen=True)
class Invocation:
    argv: Sequence[str]
    environ: Mapping[str, str]


class Job:
    """A launcher's command, or workers started by hand, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.out = directory, directory / "out"
        self.out.mkdir(parents=True)
        self._popens: list[subprocess.Popen[bytes]] = []
        self.started = 0.0

    def start(self, invocations: Iterable[Invocation]) -> None:
        environ = {"TMPDIR": str(self.directory)}
        with open(self.directory / "output", "ab") as output:
            self.started = time.monotonic()
            for each in invocations:
                popen = subprocess.Popen(
                    each.argv,
                    cwd=self.directory,
                    env={**each.environ, **environ},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C is for the benchmark alone
                )
                self._popens.append(popen)

    @property
    def pid(self) -> int:
        return self._popens[0].pid

    def wait(self, limit: float) -> float:
        """Until all that was started has ended well; returns when. ``limit``: seconds from now."""
        try:
            wait_for_ends([popen.pid for popen in self._popens], limit)
        except RoundFailed as failure:
            raise RoundFailed(f"{failure}: {self.last_words()}") from None
        ended = time.monotonic()
        codes = [popen.wait() for popen in self._popens]
        if any(codes):
            raise RoundFailed(f"exit code {', '.join(map(str, codes))}: {self.last_words()}")
        return ended

    def last_words(self) -> str:
        lines = (self.directory / "output").read_text(errors="replace").split("\n")
        return " / ".join(line for line in lines if line.strip())[-400:]

    # --- what the workers recorded ---

    def record(self, kind: str, attempt: int, rank: int) -> list[float] | None:
        try:
            return [float(word) for word in (self.out / f"{kind}.{attempt}.{rank}").read_text().split()]
        except FileNotFoundError:
            return None

    def first(self, kind: str, attempt: int, ranks: Iterable[int] = (0, 1)) -> float:
        """The smallest first value that one of the ranks recorded."""
        found = [values[0] for rank in ranks if (values := self.record(kind, attempt, rank))]
        if not found:
            raise RoundFailed(f"no worker recorded {kind!r} in attempt {attempt}: {self.last_words()}")
        return min(found)

    def wait_ready(self, limit: float) -> list[int]:
        """Pids of both workers of the first attempt, as soon as both are ready."""

        def ready() -> bool:
            if self._popens[0].poll() is not None:
                raise RoundFailed(f"ended before its workers were ready: {self.last_words()}")
            return all(self.record("ready", 0, rank) for rank in (0, 1))

        wait_until(ready, limit, "workers ready")
        return [int(self.first("ready", 0, [rank])) for rank in (0, 1)]


@contextlib.contextmanager
def job_in(directory: Path) -> Iterator[Job]:
    try:
        yield Job(directory)
    finally:
        end_all()


def wait_until(true: Callable[[], bool], limit: float, what: str) -> None:
    deadline = time.monotonic() + limit
    while not true():
        if time.monotonic() > deadline:
            raise RoundFailed(f"not within {limit:g} s: {what}")
        time.sleep(LOOK_EVERY)


def wait_for_ends(pids: Iterable[int], limit: float) -> None:
    """Returns within a millisecond of the last end, which Popen.wait(timeout) may miss by 50."""
    deadline = time.monotonic() + limit
    poller = select.poll()
    left: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # ended already, and was waited for
                descriptor = os.pidfd_open(pid)
                left[descriptor] = pid
                poller.register(descriptor, select.POLLIN)
        while left:
            ready = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                raise RoundFailed(f"{len(left)} processes not ended within {limit:.3g} s")
            for descriptor, _ in ready:
                poller.unregister(descriptor)
                os.close(descriptor)
                del left[descriptor]
    finally:
        for descriptor in left:
            os.close(descriptor)


def become_subreaper() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_all() -> None:
    """Kills every descendant, and waits for it; a Ctrl-C meanwhile comes too late to matter."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    deadline = time.monotonic() + CLEANED_WITHIN
    try:
        while descendants := psutil.Process().children(recursive=True):
            for process in living(descendants):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            _reap()
            if time.monotonic() > deadline:
                raise SystemExit(f"benchmark: these processes cannot be killed: {descendants}")
            time.sleep(0.005)
    finally:
        signal.signal(signal.SIGINT, handler)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
