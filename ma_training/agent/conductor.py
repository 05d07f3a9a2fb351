"""Who decides on attempts. Of one node: this file, with the restart policy; of several: `many_nodes`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ma_training.coordination.restart_policy import Failure, GiveUp, Restart, decide
from ma_training.diagnosis import WorkerFailure
from ma_training.job import format_duration

from .attempt_run import AttemptOutcome
from .hardware import Examine, examined
from .ports import PortTakenError, hold_port
from .result import AttemptRecord

if TYPE_CHECKING:
    from .agent import Agent

# Gets each failed attempt, what is done about it, and whether it was the last.
OnFailed = Callable[[AttemptRecord, str, bool], None]


class Conductor(Protocol):
    def run(self, agent: "Agent") -> None:
        """All attempts, until the agent's result says how the job ended."""

    def on_stop(self, number: int) -> None:
        """A signal ends the job; the agent stops its own workers."""

    def stands(self, failure: WorkerFailure | None) -> None:
        """All workers here wait for those of other nodes, for too long; None: no more."""


class OneNode:
    def __init__(self, on_failed: OnFailed, examine: Examine | None = None) -> None:
        """``examine``: the hardware, when a worker has failed."""
        self._on_failed, self._examine = on_failed, examine
        self._failures: list[Failure] = []

    def on_stop(self, number: int) -> None:
        """There is no one else to tell."""

    def stands(self, failure: WorkerFailure | None) -> None:
        """There are no others."""

    def run(self, agent: "Agent") -> None:
        index = 0
        while True:
            try:
                held = hold_port(agent.job.topology.master_port)
            except PortTakenError as error:
                if not index:
                    raise
                return agent.result.fail(str(error))
            try:
                outcome = agent.run_attempt(index, agent.job.topology, held.port)
            finally:
                held.close()
            record = AttemptRecord.of(index, outcome)
            agent.result.add(record)
            if agent.stopped_by:
                return agent.result.stop(agent.stopped_by)
            if outcome.first_failure is None:
                return agent.result.succeed()
            if fault := examined(agent, self._examine):
                self._on_failed(record, f"no further attempt here: {fault}", True)
                return agent.result.lose_node(fault)
            if agent.stopped_by:
                return agent.result.stop(agent.stopped_by)
            decision = self._decide(outcome, agent.job.max_restarts)
            if isinstance(decision, GiveUp):
                self._on_failed(record, f"no further attempt: {decision.reason}", True)
                return agent.result.fail(decision.reason)
            counted = "" if not outcome.first_failure.port_taken else ", not counted"
            self._on_failed(record, f"restart {decision.number} of {agent.job.max_restarts}{counted}", False)
            self._announce(agent, outcome, decision)
            if not agent.pause(decision.delay):
                return agent.result.stop(agent.stopped_by)
            agent.result.restarts = decision.number
            agent.renew_shims(outcome)
            index += 1

    def _decide(self, outcome: AttemptOutcome, max_restarts: int) -> Restart | GiveUp:
        first = outcome.first_failure
        assert first is not None
        self._failures.append(Failure.of(first, outcome.seconds, outcome.steps))
        if outcome.abandoned:
            return GiveUp(f"rank {outcome.abandoned[0]} cannot be killed: it sits in the kernel (D state)")
        return decide(self._failures, max_restarts)

    def _announce(self, agent: "Agent", outcome: AttemptOutcome, decision: Restart) -> None:
        failure = outcome.first_failure
        assert failure is not None
        after = f" after {outcome.steps} steps" if outcome.steps and not failure.hang else ""
        wait = f" in {format_duration(decision.delay)}" if decision.delay else ""
        count = f"{decision.number} of {agent.job.max_restarts}" if not failure.port_taken else "not counted"
        agent.say(f"rank {failure.rank} {failure.describe()}{after}; restarting all workers{wait} ({count})")
