"""A node's watchdog: a watch for each attempt, which begins with what was learned in the one before."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ma_training.diagnosis import WorkerFailure
from ma_training.events import EventLog
from ma_training.job import Topology

from .conductor import Conductor
from .hang_response import HangResponse
from .watching import Watching

if TYPE_CHECKING:
    from ma_training.watchdog.learning import Learned
    from ma_training.watchdog.rules import Watch

    from .agent import Agent
    from .attempt_run import AttemptRun


class Watchdog:
    def __init__(self, agent: "Agent", events: EventLog, conductor: Conductor) -> None:
        self._agent, self._events, self._conductor = agent, events, conductor
        self._learned: Learned | None = None

    def watch(self, index: int, topology: Topology) -> Watching | None:
        """Of attempt ``index``; None where the user wants none."""
        agent = self._agent
        if agent.job.on_hang == "off":
            return None

        def running() -> "AttemptRun | None":
            attempt = agent.attempt
            return attempt if attempt is not None and attempt.index == index and not attempt.over else None

        def fail(failures: Sequence[WorkerFailure]) -> None:
            if (attempt := running()) is not None:
                attempt.hung(failures)

        def stands(failure: WorkerFailure | None) -> None:
            if (attempt := running()) is not None:
                self._conductor.stands(attempt.described(failure) if failure else None)

        def later(seconds: float, call: Callable[[], None]) -> None:
            agent.loop.call_at(time.monotonic() + seconds, lambda: call() if running() else None)

        alone = topology.nnodes == 1
        others = None if alone else stands
        response = HangResponse(index, agent.job.on_hang, others, self._events, agent.say, fail, later)
        return Watching(agent.loop, lambda: self._make_watch(alone), response.on_found, agent.say)

    def _make_watch(self, alone: bool) -> "Watch":
        """In the watchdog's thread."""
        from ma_training.watchdog.learning import Learned
        from ma_training.watchdog.rules import Watch

        if self._learned is None:
            self._learned = Learned(self._agent.job.timeouts.hang)
        return Watch(self._learned, alone)
