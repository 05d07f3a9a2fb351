"""The conductor of a job on several nodes: the leader decides, this node obeys and reports."""

import dataclasses
from typing import TYPE_CHECKING

from ma_training.coordination.follower import Begin, Halt, Hold, Word
from ma_training.coordination.messages import Done, End, Slice
from ma_training.coordination.node import Node
from ma_training.diagnosis import WorkerFailure
from ma_training.job import Topology

from .attempt_run import AttemptOutcome
from .conductor import OnFailed
from .ports import HeldPort
from .result import AttemptRecord

if TYPE_CHECKING:
    from .agent import Agent

LAST_WORDS = 5.0  # seconds that the end waits for messages to go out


class ManyNodes:
    def __init__(self, node: Node, on_failed: OnFailed) -> None:
        """``node``: welcomed by its leader already."""
        self._node, self._on_failed = node, on_failed
        self._agent: Agent | None = None
        self._begin: Slice | None = None
        self._running: int | None = None  # attempt
        self._held: HeldPort | None = None  # where this node is to serve the rendezvous
        self._end: End | None = None
        self._place = (-1, 0)  # node rank, nodes: said where they change

    def run(self, agent: "Agent") -> None:
        self._agent = agent
        if agent.job.cluster and agent.job.cluster.node_rank is not None:
            self._place = (agent.job.cluster.node_rank, agent.job.cluster.max_nodes)
        agent.loop.add_reader(self._node, self._on_orders)
        try:
            self._on_orders()  # what came while there was no loop
            while True:
                agent.loop.run_until(lambda: bool(self._begin or self._end or agent.stopped_by))
                if self._end or agent.stopped_by or self._begin is None:
                    break
                self._attempt(agent, self._begin)
            if self._end is None and agent.stopped_by and not self._node.leads:
                self._node.leave("it was told to end", agent.stopped_by)
        finally:
            agent.loop.remove_reader(self._node)
            self._release()
        self._conclude(agent, self._end)

    def on_stop(self, number: int) -> None:
        if self._node.leads:
            self._node.stop(number)  # the others' workers end at the same time as ours

    def stands(self, failure: WorkerFailure | None) -> None:
        self._node.stands(failure.to_record() if failure else None)

    def _attempt(self, agent: "Agent", part: Slice) -> None:
        self._begin, self._running = None, part.attempt
        topology = _topology(agent.job.topology, part)
        place = (part.node_rank, part.nnodes)
        if place != self._place:
            agent.say(f"this is node {part.node_rank} of {part.nnodes}")
        self._place = place
        outcome = agent.run_attempt(part.attempt, topology, part.master_port, self._report)
        self._running = None
        self._release()
        record = AttemptRecord.of(part.attempt, outcome)
        agent.result.add(record)
        if record.failure is not None and not record.failure.by_us:
            self._on_failed(record, "the leader decides", False)
        if not agent.stopped_by:
            self._node.done(_done(part.attempt, outcome))
            agent.renew_shims(outcome)

    def _report(self, failure: WorkerFailure) -> None:
        if not failure.by_us:
            self._node.worker_failed(failure.to_record(), failure.is_consequence)

    def _on_orders(self) -> None:
        assert self._agent is not None
        agent = self._agent
        for order in self._node.take():
            if isinstance(order, Word):
                agent.say(order.text)
            elif isinstance(order, Hold):
                self._release()
                self._held = HeldPort()
                self._node.port_held(order.attempt, self._held.port)
            elif isinstance(order, Begin):
                self._begin = order.slice
            elif isinstance(order, Halt):
                self._halt(agent, order)
            elif isinstance(order, End):
                self._end = order
                if agent.attempt is not None:
                    agent.attempt.halt(settle=False)

    def _halt(self, agent: "Agent", order: Halt) -> None:
        if agent.attempt is not None and self._running == order.attempt:
            agent.attempt.halt(order.settle)
        elif self._begin is not None and self._begin.attempt == order.attempt:
            self._begin = None  # stopped before it has begun
            self._node.done(Done(order.attempt, ()))

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _conclude(self, agent: "Agent", end: End | None) -> None:
        result = agent.result
        if end is None:
            return result.stop(agent.stopped_by)
        result.restarts = end.restarts
        if end.outcome == "succeeded":
            return result.succeed()
        if end.outcome == "stopped":
            return result.stop(end.exit_code - 128)
        result.outcome, result.exit_code, result.reason = "failed", end.exit_code, end.reason
        result.ours = end.failure is None
        if end.failure is not None:
            failure = WorkerFailure.from_record(end.failure)
            index = result.attempts[-1].index if result.attempts else 0
            result.root = dataclasses.replace(
                _last(result.attempts, index), failure=failure, node=f"node{end.node}"
            )
            self._on_failed(result.root, f"no further attempt: {end.reason}", True)
        return None


def _last(attempts: list[AttemptRecord], index: int) -> AttemptRecord:
    return attempts[-1] if attempts else AttemptRecord(index, 0.0, None, None, (), ())


def _topology(base: Topology, part: Slice) -> Topology:
    return dataclasses.replace(
        base,
        nnodes=part.nnodes,
        node_rank=part.node_rank,
        master_addr=part.master_addr,
        master_port=part.master_port,
    )


def _done(attempt: int, outcome: AttemptOutcome) -> Done:
    in_order = sorted(outcome.failures, key=lambda failure: failure.began)
    return Done(attempt, tuple(f.to_record() for f in in_order), outcome.steps, tuple(outcome.abandoned))
