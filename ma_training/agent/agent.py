"""The agent: one per node. Runs attempts until the job has succeeded, failed for good, or was stopped.

run ─▶ attempt ──all ended well──────────────────────────▶ succeeded
        ▲   └──one failed──▶ restart policy ──give up────▶ failed
        └───after a delay────────┘
       a stop signal at any point: workers get it, then the grace ▶ stopped
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ma_training.diagnosis import WorkerFailure
from ma_training.events import EventLog
from ma_training.job import (
    DEFAULT_PREFIX,
    STDERR,
    STDOUT,
    Attempt,
    ExitCode,
    Framework,
    JobSpec,
    RunDirectory,
    Topology,
    WorkerSpec,
    format_duration,
    format_size,
    signal_name,
)
from ma_training.keeper.keeper import Keeper

from .attempt_run import AttemptOutcome, AttemptRun
from .conductor import Conductor
from .console import Console
from .log_keeper import LogKeeper
from .loop import Loop, SignalReader
from .orphans import become_subreaper, kill_orphans
from .result import Result
from .saved_for import cause_of
from .shim import children_of
from .shim_handle import ShimHandle
from .streams import Paths, in_foreground, worker_streams
from .watchdog import Watchdog

POLL_EVERY = 0.2  # seconds between looks at what scripts ask the keeper for
SHOWN_AT_END = 10.0  # seconds that the end waits for a terminal that takes nothing


class Agent:
    def __init__(
        self,
        job: JobSpec,
        framework: Framework,
        run_directory: RunDirectory,
        events: EventLog,
        say: Callable[[str], None],
        conductor: Conductor,
        keeper: Keeper | None = None,
        helpers: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        """``conductor`` decides on attempts: of this node alone, or of many. ``keeper`` has the state.
        ``helpers``: pids of processes that are not the workers', and end by themselves."""
        self.job, self._framework, self._run = job, framework, run_directory
        self._events, self.say, self._conductor = events, say, conductor
        self.loop = Loop()
        self._keeper, self._helpers = keeper, helpers
        self._kept: tuple[list[int], int] = ([], 1)  # ranks of the last attempt, and of how many
        self._watchdog = Watchdog(self, events, conductor)
        self._console = Console()
        self._log_keeper = LogKeeper(job.log_limit, self._on_rotated)
        self._shims: dict[int, ShimHandle] = {}
        self._signals: SignalReader | None = None
        self._older: list[int] = []  # children that were here before us (`sidecar & exec launcher ...`)
        self._retired: list[int] = []  # pids of shims that end by themselves
        self.attempt: AttemptRun | None = None
        self.stopped_by = 0
        self.stopped_at = 0.0  # of the monotonic clock
        self._unlogged = False  # said once
        self.result = Result(run_directory.job_id, job.name, time.time())
        first = job.topology.first_rank
        self._ranks = range(first, first + job.topology.nproc_per_node)
        self._streams = worker_streams(job)

    def run(self) -> Result:
        """Until the job is over and no process of it is left. Signals are handled until `close`."""
        numbers = (*self.job.stop_signals, *self.job.forward_signals, signal.SIGTSTP)
        self._signals = SignalReader(self.loop, numbers, self._on_signal)
        # Ignored by whoever started us, it would let the kernel reap workers before their shims can.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._older = children_of(os.getpid())
        become_subreaper()
        if self._keeper is not None:
            self._keeper.open()
        try:
            for rank in self._ranks:
                self._start_shim(rank)
            self._conductor.run(self)
            self._finish_keeping()
        finally:
            self._end_shims()
        self.result.ended = time.time()
        return self.result

    def close(self) -> None:
        """Signals act as they did before, and what workers have written is shown to its end."""
        if self._signals is not None:
            self._signals.close()
        self._log_keeper.close()
        self._console.close(SHOWN_AT_END)
        self.loop.close()

    # --- attempts: for the conductor ---

    def run_attempt(
        self,
        index: int,
        topology: Topology,
        port: int,
        on_failure: Callable[[WorkerFailure], None] = lambda failure: None,
    ) -> AttemptOutcome:
        """``port``: of the rendezvous. ``on_failure`` hears of each failed worker here at once."""
        self._renumber_shims(topology.first_rank)
        attempt = Attempt(index, self._run.job_id, topology, port, self.job.max_restarts)
        specs = self._framework.workers(attempt)
        self._events.emit("attempt.started", attempt=index, master_port=port, node_rank=topology.node_rank)
        streams = {spec.rank: self._streams.paths(self._run, index, spec) for spec in specs}
        self._show(index, specs, streams)
        environ = worker_environment(os.environ)
        ranks = [spec.rank for spec in specs]
        self._kept = (ranks, topology.world_size)
        if self._keeper is not None:
            environ |= self._keeper.environ(ranks)
        timeouts = self.job.timeouts
        self.attempt = AttemptRun(
            attempt,
            specs,
            streams,
            self._shims,
            timeouts,
            environ,
            self.loop,
            self._events,
            self.say,
            on_failure,
            self._watchdog.watch(index, topology),
        )
        try:
            if self.stopped_by:  # it came while there was nothing to stop
                self.attempt.stop(self.stopped_by)
            self._poll_keeper(self.attempt, ranks, topology.world_size)
            self.loop.run_until(lambda: self.attempt is None or self.attempt.over)
            outcome = self.attempt.finish()
        finally:
            self.attempt = None
        for text in outcome.warnings:
            self.say(text)
        self._console.forget_all()
        failure = outcome.first_failure
        if self._keeper is not None and topology.node_rank == 0 and (failure or self.stopped_by):
            self._keeper.save(ranks, topology.world_size, *cause_of(failure, self.stopped_by))
        self._events.emit(
            "attempt.ended",
            attempt=index,
            outcome="stopped" if self.stopped_by else "failed" if failure else "succeeded",
            cause=f"rank {failure.rank} {failure.describe()}" if failure else None,
            steps=outcome.steps,
            seconds=round(outcome.seconds, 3),
        )
        return outcome

    def _poll_keeper(self, attempt: AttemptRun, ranks: Sequence[int], world_size: int) -> None:
        if self._keeper is None or self.attempt is not attempt:
            return
        self._keeper.poll(ranks, world_size)
        again = time.monotonic() + POLL_EVERY
        self.loop.call_at(again, lambda: self._poll_keeper(attempt, ranks, world_size))

    def _finish_keeping(self) -> None:
        """What the job leaves is on disk before it ends."""
        if self._keeper is None:
            return
        if self.result.outcome == "failed" and self.result.exit_code == ExitCode.PREEMPTED:
            # Cut off from the others, of whom the first, which else saves, may be gone.
            self._keeper.save(*self._kept, "leader-lost", self.result.reason or "")
        saved = self._keeper.finish(self.result.outcome == "succeeded", self.job.timeouts.grace)
        if saved is None:
            return
        self.result.checkpoint = (saved.step, saved.path)
        if self.result.outcome == "stopped" and self.stopped_by == signal.SIGTERM:
            self.result.exit_code = ExitCode.PREEMPTED

    def pause(self, seconds: float) -> bool:
        """Waits, unless a signal ends the job meanwhile; says whether to go on."""
        until = time.monotonic() + seconds
        self.loop.call_at(until, lambda: None)
        while True:  # once at least: a signal may be waiting
            self.loop.run_once()
            if self.stopped_by or time.monotonic() >= until:
                return not self.stopped_by

    def _show(self, index: int, specs: Sequence[WorkerSpec], streams: Mapping[int, Paths]) -> None:
        """Lets the console follow what the user wants to see."""
        self._log_keeper.watch(Path(log) for paths in streams.values() for log in paths.logs)
        view, job = self.job.console, self.job
        template = view.template(spec.local_rank for spec in specs)
        everything = self._streams.everything(self._run)
        for spec in specs:
            fields = {"node": job.topology.node_name, "rank": spec.rank, "local_rank": spec.local_rank}
            prefix = view.fill(template, **fields, role_name=job.role, attempt=index)
            shown = view.shown(spec.local_rank)
            stdout, stderr = streams[spec.rank].stdout, streams[spec.rank].stderr
            if stdout and shown & (STDOUT if stderr != stdout else STDOUT | STDERR):
                self._console.follow(Path(stdout), sys.stdout.fileno(), prefix)
            if stderr and stderr != stdout and shown & STDERR:
                self._console.follow(Path(stderr), sys.stderr.fileno(), prefix)
            if everything:
                self._console.follow(Path(stdout), everything, view.fill(DEFAULT_PREFIX, **fields))
            for path, filters, name in zip((stdout, stderr), job.filters, ("stdout", "stderr"), strict=True):
                if filters and path:
                    copy = self._streams.directory(self._run, index) / f"filtered_{name}.log"
                    mark = prefix or view.fill(DEFAULT_PREFIX, **fields)
                    self._console.follow(Path(path), copy, mark, tuple(map(os.fsencode, filters)))

    # --- signals ---

    def _on_signal(self, number: int) -> None:
        name = signal_name(number)
        self._events.emit("signal.received", signal=number, name=name)
        if number == signal.SIGTSTP:
            self._suspend()
        elif number in self.job.forward_signals:
            if self.attempt and (spared := self.attempt.forward(number)):
                ranks = ", ".join(map(str, spared))
                self.say(
                    f"{name} was not passed on to rank {ranks}: no handler there, it would have died of it"
                )
        elif self.stopped_by and number == signal.SIGINT:
            if self.attempt:
                self.attempt.kill()
            self.say("second interrupt: killing the workers")
        elif not self.stopped_by:
            self.stopped_by, self.stopped_at = number, time.monotonic()
            self._conductor.on_stop(number)
            if self.attempt:
                self.attempt.stop(number)
            grace = format_duration(self.job.timeouts.grace)
            again = "; once more to kill them at once" if number == signal.SIGINT else ""
            passing = f"passing it on to the workers, which have {grace} to end{again}"
            self.say(f"{name} received: {passing if self.attempt else 'ending the job'}")

    def _suspend(self) -> None:
        """Ctrl-Z: workers have sessions of their own, so the terminal stops only us; they stop with us."""
        if self.attempt:
            self.attempt.signal_trees(signal.SIGSTOP)
        stopped = time.monotonic()
        while True:
            # Continued in the background while a worker owns the terminal: as if it had tried to read.
            if not _stop_as_a_shell_expects() or not self._streams.terminal or in_foreground():
                break
            # At once: the thread that says things is about to be stopped with us.
            sys.stderr.write("launcher: the worker needs the terminal: bring the job back with fg\n")
            sys.stderr.flush()
        if self.attempt:
            self.attempt.group.shift(time.monotonic() - stopped)
            self.attempt.signal_trees(signal.SIGCONT)

    # --- shims ---

    def renew_shims(self, outcome: AttemptOutcome) -> None:
        """A shim stays through all attempts, unless it was killed or still waits for a dead worker."""
        for rank in list(self._shims):
            if self._shims[rank].lost or rank in outcome.left:
                self._retired.append(self._shims[rank].pid)
                self._end_shim(rank)
                self._start_shim(rank)

    def _renumber_shims(self, first: int) -> None:
        """A node's ranks may be others in the next attempt; its shims are the same."""
        shims = list(self._shims.values())
        self._shims = {}
        for rank, shim in enumerate(shims, first):
            shim.rank = rank
            self._shims[rank] = shim

    def _start_shim(self, rank: int) -> None:
        shim = self._shims[rank] = ShimHandle(rank, self)
        self.loop.add_reader(shim, shim.on_readable)

    def _end_shim(self, rank: int) -> None:
        shim = self._shims.pop(rank)
        if not shim.lost:
            self.loop.remove_reader(shim)
        shim.close()

    def _end_shims(self) -> None:
        pids = [*self._retired, *(shim.pid for shim in self._shims.values())]
        for rank in list(self._shims):
            self._end_shim(rank)
        deadline = time.monotonic() + self.job.timeouts.kill
        if self.result.abandoned:
            deadline = time.monotonic()
        _reap(pids, deadline)
        kill_orphans(keep={*self._older, *pids, *self._helpers()})

    def on_spawned(self, rank: int, pid: int) -> None:
        if self.attempt:
            self.attempt.on_spawned(rank, pid)

    def on_spawn_failed(self, rank: int, error: str, number: int) -> None:
        if self.attempt:
            self.attempt.on_spawn_failed(rank, error, number)

    def _on_rotated(self, path: Path, taken: int, error: str) -> None:
        """Called by the log keeper's thread."""
        self._console.shift(path, taken)
        self._events.emit("log.rotated", path=str(path), error=error or None)
        limit = format_size(self.job.log_limit)
        if error:
            self.say(f"{path} has reached {limit}, but could not be rotated: {error}")
        else:
            self.say(f"{path} has reached {limit}; what it held is in {path.name}.1 now (--log-limit)")

    def on_unlogged(self, rank: int, error: str) -> None:
        self._events.emit("worker.unlogged", rank=rank, error=error)
        if not self._unlogged:
            self.say(f"cannot open the log of rank {rank} ({error}); its output is dropped, the job goes on")
        self._unlogged = True

    def on_exited(self, rank: int, status: int) -> None:
        if self.attempt:
            self.attempt.on_exited(rank, status)

    def on_gone(self, rank: int) -> None:
        if self.attempt:
            self.attempt.on_gone(rank)

    def on_shim_lost(self, rank: int) -> None:
        self.loop.remove_reader(self._shims[rank])
        # Its socket closes before its children come to us: wait until it is a zombie.
        os.waitid(os.P_PID, self._shims[rank].pid, os.WEXITED | os.WNOWAIT)
        self._kill_orphans()
        if self.attempt:
            self.attempt.on_shim_lost(rank)

    def _kill_orphans(self) -> None:
        """What a shim guarded comes to us when the shim is killed."""
        ours = [shim.pid for shim in self._shims.values()]
        savers = self._keeper.pids if self._keeper else []
        kill_orphans(keep={*self._older, *self._retired, *ours, *savers, *self._helpers()})


def worker_environment(environ: "os._Environ[str]") -> dict[str, str]:
    """The launcher's environment without its own options: a launcher inside a worker inherits none."""
    return {name: value for name, value in environ.items() if not name.startswith("LAUNCHER_")}


def _stop_as_a_shell_expects() -> bool:
    """By SIGTSTP's own action: SIGSTOP would stop us for ever where no shell controls jobs, and the
    kernel drops this one there. Returns when continued; says whether we were stopped."""
    continued: list[int] = []
    on_continue = signal.signal(signal.SIGCONT, lambda number, _: continued.append(number))
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    # To this thread: taken by another one, it would stop us a moment after we had gone on.
    signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)
    signal.signal(signal.SIGCONT, on_continue)
    return bool(continued)


def _reap(pids: list[int], deadline: float) -> None:
    """Waits for shims to end. One that guards an unkillable process is left to go on trying."""
    import select

    poller = select.poll()
    waiting: dict[int, int] = {}
    for pid in pids:
        descriptor = os.pidfd_open(pid)
        waiting[descriptor] = pid
        poller.register(descriptor, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            poller.unregister(descriptor)
            os.waitpid(waiting.pop(descriptor), 0)
            os.close(descriptor)
    for descriptor in waiting:
        os.close(descriptor)
