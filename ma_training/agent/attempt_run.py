"""One attempt on this node: orders to shims, their reports into the worker group, and the outcome."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ma_training.devices import memory_limit
from ma_training.diagnosis import OomCounters, WorkerFailure, is_consequence, read_error_file, root_cause
from ma_training.events import EventLog
from ma_training.job import Attempt, Timeouts, WorkerSpec, describe_status, format_duration

from .bootstrap import DUMP_SIGNAL, RECORD_SIGNAL, Phase
from .death import DeathWatch
from .handover import may_begin_beside
from .loop import Loop, Timer
from .process_status import catches_signal
from .shim_handle import ShimHandle
from .streams import Paths
from .worker_group import Action, Do, State, WorkerGroup

if TYPE_CHECKING:
    from .watching import Watching

# How long ranks are given to say what they are dying of, when another one reports a lost peer. Most
# answer within milliseconds, those that wait in native code do not.
SETTLE = 0.5
HAS_ANSWERED = 0.005  # seconds between looks
NO_STATUS = 70
PATIENCE = 1.0  # seconds that the others are waited for without a word
LOOK_AGAIN = 0.02  # seconds
LEAVE_AFTER = 0.03  # seconds that the kernel is given to free a dead worker's memory


@dataclass(slots=True)
class AttemptOutcome:
    seconds: float = 0.0
    failures: list[WorkerFailure] = field(default_factory=list)
    steps: int | None = None  # the most that any rank did
    abandoned: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)  # still being freed by the kernel
    early: list[int] = field(default_factory=list)  # ranks that had ended well before the first failure
    warnings: list[str] = field(default_factory=list)

    @property
    def first_failure(self) -> WorkerFailure | None:
        return root_cause(self.failures) if self.failures else None


class AttemptRun:
    """Starts the workers on construction; `over` says when the last of their processes is gone."""

    def __init__(
        self,
        attempt: Attempt,
        specs: Sequence[WorkerSpec],
        streams: Mapping[int, Paths],
        shims: Mapping[int, ShimHandle],
        timeouts: Timeouts,
        environ: dict[str, str],
        loop: Loop,
        events: EventLog,
        say: Callable[[str], None],
        on_failure: Callable[[WorkerFailure], None],
        watching: "Watching | None" = None,
    ) -> None:
        self._attempt, self._events, self._loop, self._shims = attempt, events, loop, shims
        self._say, self._grace, self._on_failure = say, timeouts.grace, on_failure
        self._watching = watching
        self._specs = {spec.rank: spec for spec in specs}
        self._streams = streams
        self._pids: dict[int, int] = {}
        self._oom_before = OomCounters.read()
        self._began = time.monotonic()
        self._outcome = AttemptOutcome()
        self._asked: set[int] = set()
        self._noticed: dict[int, float] = {}  # when a rank was first seen dying
        self._rss: dict[int, int] = {}  # bytes that a dying rank had
        self._timer: Timer | None = None
        self._deaths = DeathWatch(loop, self._on_dying)
        self.group = WorkerGroup(self._specs, timeouts)
        for spec in specs:
            shims[spec.rank].page.reset()
            shims[spec.rank].spawn(spec, environ, streams[spec.rank])

    @property
    def index(self) -> int:
        return self._attempt.index

    @property
    def over(self) -> bool:
        return self.group.over

    def finish(self) -> AttemptOutcome:
        """Call when `over`: the outcome, as far as this node knows it."""
        self._deaths.close()
        if self._watching is not None:
            self._watching.close()
        if self._timer is not None:
            self._timer.cancel()
        outcome = self._outcome
        outcome.seconds = time.monotonic() - self._began
        outcome.abandoned = self.group.ranks(State.ABANDONED)
        outcome.left = self.group.ranks(State.LEFT)
        steps = [self._shims[rank].page.read().steps for rank in self._specs]
        outcome.steps = max((count for count in steps if count is not None), default=None)
        return outcome

    # --- orders ---

    def stop(self, number: int) -> None:
        self._do(self.group.stop(time.monotonic(), number))

    def halt(self, settle: bool) -> None:
        """Another node's failure ends the attempt here too. ``settle``: it looks like a consequence, so
        workers here are first asked what they are dying of."""
        if settle and not self.group.stopping:
            self._do(self.group.ask(time.monotonic(), SETTLE))
            self._await_answers()
        else:
            self.stop(signal.SIGTERM)

    def hung(self, failures: Sequence[WorkerFailure]) -> None:
        """The watchdog is certain: the attempt ends, and ``failures`` say of what."""
        if self.group.stopping or self._outcome.failures:
            return
        for failure in failures:
            if self.group.state(failure.rank) is State.RUNNING:  # it may have ended while it was looked into
                self._fail(self.described(failure))

    def described(self, failure: WorkerFailure) -> WorkerFailure:
        """A hang's, with what is known here of its rank."""
        steps = self._shims[failure.rank].page.read().steps
        note = failure.note.replace("hangs:", f"hangs after {steps} steps:", 1) if steps else failure.note
        return replace(failure, note=note, steps=steps, logs=self._streams[failure.rank].logs)

    def kill(self) -> None:
        self._do(self.group.kill(time.monotonic()))

    def forward(self, number: int) -> list[int]:
        """Sends a signal on to the workers; returns the ranks that were spared: it would have killed them."""
        spared = []
        for rank, pid in self._pids.items():
            if self.group.state(rank) is State.RUNNING:
                if catches_signal(pid, number):
                    self._shims[rank].signal(number, "worker")
                else:
                    spared.append(rank)
        return spared

    def signal_trees(self, number: int) -> None:
        for rank in self._specs:
            self._shims[rank].signal(number, "tree")

    def _do(self, actions: Sequence[Action]) -> None:
        if self._watching is not None and self.group.stopping:
            self._watching.end()  # who ends is slow at it, now and then
        for action in actions:
            self._do_one(action)
        self._schedule()

    def _do_one(self, action: Action) -> None:
        shim, rank = self._shims[action.rank], action.rank
        if action.do is Do.SIGNAL:
            shim.signal(action.signal)
            shim.signal(signal.SIGCONT)  # a stopped process acts on nothing else
            self._emit("worker.stopping", rank, signal=action.signal)
        elif action.do is Do.SIGNAL_TREE:
            shim.signal(action.signal, "tree")
        elif action.do is Do.KILL and self.group.state(rank) is State.RUNNING:
            shim.kill()
            self._say(f"rank {rank} has not ended within {format_duration(self._grace)}: killed")
        elif action.do is Do.DUMP and rank in self._pids and catches_signal(self._pids[rank], DUMP_SIGNAL):
            shim.signal(DUMP_SIGNAL)
        elif action.do is Do.ASK:
            self._ask(rank)
        elif action.do is Do.KILL:
            shim.kill()
        elif action.do is Do.ABANDON:
            self._emit("worker.abandoned", rank, pid=self._pids.get(rank))

    def _ask(self, rank: int) -> None:
        in_script = self._shims[rank].page.read().phase == Phase.MAIN
        if rank in self._pids and in_script and catches_signal(self._pids[rank], RECORD_SIGNAL):
            self._asked.add(rank)
            self._shims[rank].signal(RECORD_SIGNAL)

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.group.deadline
        if deadline is not None and not self.over:
            self._timer = self._loop.call_at(deadline, self._on_deadline)

    def _on_deadline(self) -> None:
        self._do(self.group.tick(time.monotonic()))

    # --- reports of the shims ---

    def on_spawned(self, rank: int, pid: int) -> None:
        self._pids[rank] = pid
        self.group.spawned(rank)
        self._deaths.watch(rank, pid)
        if self._watching is not None:
            self._watching.started(rank, pid, self._shims[rank].page)
        self._emit("worker.started", rank, pid=pid)

    def on_spawn_failed(self, rank: int, error: str, number: int) -> None:
        now = time.monotonic()
        code = 127 if number == 2 else 126  # ENOENT, as a shell says it
        self.group.exited(rank, now)
        self._fail(
            WorkerFailure(rank, code, now, self.group.stopped_at(rank), note=f"could not be started: {error}")
        )
        self.on_gone(rank)

    def _on_dying(self, rank: int, status: int, rss: int) -> None:
        self._noticed[rank] = time.monotonic()
        self._rss[rank] = rss
        self.group.dying(rank, self._noticed[rank])
        self._schedule()
        if not self._ended_well(rank, status):
            self._emit("worker.dying", rank, status=status)
            self._judge(rank, status)
            self._loop.call_at(time.monotonic() + LEAVE_AFTER, self._leave_the_dead)

    def on_exited(self, rank: int, status: int) -> None:
        now = time.monotonic()
        self._noticed.setdefault(rank, now)
        self._deaths.forget(rank)
        if self._watching is not None:
            self._watching.ended(rank)
        well = self._ended_well(rank, status)
        if well and status != 0:
            self._warn_of_late_crash(rank, status)
        self._emit("worker.exited", rank, status=status, steps=self._shims[rank].page.read().steps)
        actions = self.group.exited(rank, now)
        if well and not self._outcome.failures:
            self._outcome.early.append(rank)
        if not well:
            self._judge(rank, status)
        self._do(actions)

    def on_gone(self, rank: int) -> None:
        if self.group.state(rank) in (State.STARTING, State.RUNNING, State.DYING):
            self.on_exited(rank, NO_STATUS)  # reaped by someone else: it cannot be taken for success
        self.group.gone(rank)
        self._schedule()
        self._leave_the_dead()

    def _leave_the_dead(self) -> None:
        """When all that is waited for is the kernel freeing memory, the next attempt need not wait."""
        dying = self.group.ranks(State.DYING)
        others = self.group.ranks(State.STARTING, State.RUNNING, State.EXITED)
        if self.over or others or any(time.monotonic() < self._noticed[rank] + LEAVE_AFTER for rank in dying):
            return
        for rank in dying:
            shim, port = self._shims[rank].pid, self._attempt.master_port
            if may_begin_beside(shim, self._pids[rank], self._rss[rank], port):
                self._emit("worker.left", rank, pid=self._pids[rank], rss=self._rss[rank])
                self.group.left(rank)
            else:  # with every moment more of its memory is free
                self._loop.call_at(time.monotonic() + LOOK_AGAIN, self._leave_the_dead)
                return

    def on_shim_lost(self, rank: int) -> None:
        """Someone killed the shim; the worker died with it, by PDEATHSIG."""
        now = time.monotonic()
        ended = self.group.state(rank) in (State.EXITED, State.GONE, State.LEFT)
        ended_well = ended and not self._has_failed(rank)
        self.group.exited(rank, now)
        note = "died with its guardian process (launcher-shim), which someone killed"
        if not ended_well and not self._has_failed(rank):
            logs = self._streams[rank].logs
            self._fail(WorkerFailure(rank, -9, now, self.group.stopped_at(rank), note=note, logs=logs))
        self.on_gone(rank)

    # --- judgement ---

    def _ended_well(self, rank: int, status: int) -> bool:
        """A crash of the interpreter's own end, after script and atexit handlers, does not undo the work."""
        telemetry = self._shims[rank].page.read()
        return status == 0 or (status < 0 and telemetry.finished and telemetry.exit_code == 0)

    def _warn_of_late_crash(self, rank: int, status: int) -> None:
        text = (
            f"rank {rank} {describe_status(status)} while its interpreter shut down, "
            "after its script had finished: counted as success"
        )
        self._outcome.warnings.append(text)
        self._emit("worker.late_crash", rank, status=status)

    def _has_failed(self, rank: int) -> bool:
        return any(failure.rank == rank for failure in self._outcome.failures)

    def _judge(self, rank: int, status: int) -> None:
        if self._has_failed(rank):
            if self.group.state(rank) is State.EXITED:  # judged when dying; a settling goes on
                self._do(self.group.failed(rank, time.monotonic(), SETTLE))
            return
        telemetry = self._shims[rank].page.read()
        error = telemetry.error
        if not error and status > 0:  # no bootstrap: the script may have told torch's @record
            error = read_error_file(Path(self._streams[rank].error_file))
        oom = status == -9 and OomCounters.read().grew_since(self._oom_before)
        self._fail(
            WorkerFailure(
                rank,
                status,
                self._noticed.get(rank, time.monotonic()),
                self.group.stopped_at(rank),
                error,
                telemetry.error_at,
                telemetry.steps,
                oom,
                telemetry.phase,
                self._pids.get(rank, 0),
                memory_limit() if oom else None,
                self._streams[rank].logs,
            )
        )

    def _fail(self, failure: WorkerFailure) -> None:
        self._outcome.failures.append(failure)
        self._emit(
            "worker.failed",
            failure.rank,
            status=failure.status,
            cause=failure.describe(),
            by_us=failure.by_us,
        )
        self._on_failure(failure)
        if len(self._outcome.failures) == 1:
            self._loop.call_at(time.monotonic() + PATIENCE, lambda: self._report_waiting(failure))
        settle = SETTLE if is_consequence(failure.error) and not self.group.stopping else 0.0
        self._do(self.group.failed(failure.rank, time.monotonic(), settle))
        if settle:
            self._await_answers()

    def _await_answers(self) -> None:
        """Settles when every rank that was asked has answered or ended, or one is known to have begun it."""
        running = self._asked.intersection(self.group.ranks(State.RUNNING))
        answers = [self._shims[rank].page.read() for rank in running]
        found = any(answer.error and not is_consequence(answer.error) for answer in answers)
        if found or all(answer.answered for answer in answers):
            self._do(self.group.settled(time.monotonic()))
        elif not self.group.stopping:
            self._loop.call_at(time.monotonic() + HAS_ANSWERED, self._await_answers)

    def _report_waiting(self, failure: WorkerFailure) -> None:
        if not self.over:
            left = ", ".join(map(str, self.group.ranks(State.RUNNING, State.EXITED, State.DYING)))
            self._say(f"rank {failure.rank} {failure.describe()}; waiting for rank {left} to end")

    def _emit(self, kind: str, rank: int, **data: object) -> None:
        self._events.emit(kind, attempt=self._attempt.index, rank=rank, **data)
