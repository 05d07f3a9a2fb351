"""A job's course under its leader: which attempt runs, what a failure leads to. Pure.

gathering ──enough nodes──▶ preparing ──rank 0 has a port──▶ running ──all done──▶ ended
    ▲                                                           │ a worker failed, a node was lost,
    └────────── restart policy ◀── all have stopped ◀── stopping◀┘ a newcomer makes the job larger

What happens is noted at once; what follows from it is decided by `advance`, which is called only
while the leader may decide: one that has yet to be elected only listens.
"""

from dataclasses import replace
from enum import Enum, auto

from ma_training.diagnosis import WorkerFailure
from ma_training.job import ExitCode, format_duration

from .attempt import Plan
from .gathering import Gathering
from .ledger import Ledger
from .messages import Aside, Done, End, HoldPort, Note, Slice, Stands, Start, Stop, Successor, WorkerFailed
from .outputs import Output, Resign, Say, Send
from .plan import digest
from .quorum import Quorum
from .restart_policy import GiveUp
from .roster import Member, Roster

PORT_WITHIN = 10.0  # seconds that rank 0's agent has to find a port
OUTVOTED_FOR = 4.0  # seconds after which a successor without a majority resigns
SUCCESSORS = 3


class Phase(Enum):
    GATHERING, PREPARING, RUNNING, STOPPING, ENDED = auto(), auto(), auto(), auto(), auto()


class Course:
    def __init__(
        self, roster: Roster, ledger: Ledger, quorum: Quorum, join_timeout: float, node: str, now: float
    ) -> None:
        """``node``: the leader's own; "" for a coordinator, which is none of the job's."""
        self.phase, self.epoch = Phase.GATHERING, 0
        self.plan: Plan | None = None
        self.end: End | None = None
        self.gathering = Gathering(roster, ledger, quorum, join_timeout, now)
        self._roster, self._ledger, self._quorum, self._node = roster, ledger, quorum, node
        self._port_by: float | None = None
        self._port = 0
        self._outside: Slice | None = None  # what those know of the attempt who are not in it
        self._attempts = 0  # numbers used, by any leader that was heard of
        self._outvoted_since: float | None = None

    def waits(self) -> list[float]:
        """When something may change by itself."""
        times = [] if self._port_by is None else [self._port_by]
        if self.phase is Phase.GATHERING:
            times += self.gathering.waits()
        if self._outvoted_since is not None:
            times.append(self._outvoted_since + OUTVOTED_FOR)
        return times

    # --- what happened ---

    def take_up(self, part: Slice, now: float) -> Plan:
        """Another leader has begun this attempt; ``part`` is one agent's."""
        self.plan = plan = Plan.heard_of(part, now)
        self.phase, self._port_by = Phase.RUNNING, None
        self._outside = replace(part, node_rank=-1)
        self._ledger.restore(part.ledger)
        return plan

    def heard_of(self, attempt: int) -> None:
        """No later one has its number."""
        self._attempts = max(self._attempts, attempt + 1)

    def forget_plan(self, now: float) -> None:
        """None of its agents is left here."""
        self.plan, self.phase = None, Phase.GATHERING
        self.gathering.open(now)

    def port_held(self, attempt: int, port: int) -> None:
        if self.phase is Phase.PREPARING and self.plan and self.plan.attempt == attempt:
            self._port = port

    def confirm(self, member: Member, attempt: int) -> None:
        """It has heard of this attempt."""
        plan = self.plan
        if plan is None or not plan.unconfirmed or attempt != plan.attempt:
            return
        plan.unconfirmed.discard(member.node)
        if not plan.unconfirmed:
            self._quorum.settled(plan.attempt, plan.nodes)

    def failed(self, plan: Plan, member: Member, message: WorkerFailed, now: float) -> None:
        failure = WorkerFailure.from_record(message.failure)
        plan.add(member.rank or 0, failure)
        what = f"rank {failure.rank} on {member.host} {failure.describe()}"
        plan.object(what, now, message.consequence)

    def stands(self, plan: Plan, member: Member, message: Stands, now: float) -> None:
        """A node that only waits proves nothing: another may be at work. If none is, the job hangs."""
        plan.standing.pop(member.rank or 0, None)
        if message.failure is None:
            return
        failure = WorkerFailure.from_record(message.failure)
        plan.standing[member.rank or 0] = failure
        at_work = (self._roster.members.get(number) for number in plan.waiting)
        if all(one is not None and one.rank in plan.standing for one in at_work):
            for rank, standing in plan.standing.items():
                plan.add(rank, standing)
            plan.object(f"rank {failure.rank} on {member.host} {failure.describe()}", now)

    def done(self, plan: Plan, member: Member, message: Done, now: float) -> None:
        plan.waiting.discard(member.number)
        if message.steps is not None:
            plan.steps = max(plan.steps or 0, message.steps)
        plan.abandoned += message.abandoned
        for record in message.failures:
            plan.add(member.rank or 0, WorkerFailure.from_record(record))
        if message.failures:  # it says so only now
            plan.object(f"a worker on {member.host} failed", now)
        elif message.cut_short and plan.objection is None:
            plan.cut_short = True
            plan.object(f"the workers on {member.host} were ended when it had no leader", now)

    def lost(self, member: Member, why: str, now: float) -> None:
        if self.phase is Phase.PREPARING:
            self.phase, self._port_by = Phase.GATHERING, None
        elif self.phase in (Phase.RUNNING, Phase.STOPPING) and self.plan:
            self.plan.waiting.discard(member.number)
            self.lose(self.plan, member.host, member.machine, why or "its agent has come again", now)

    def lose(self, plan: Plan, host: str, machine: str, why: str, now: float) -> None:
        plan.lost.append((host, machine, why))
        plan.object(f"{host} is lost", now)

    # --- what follows ---

    def advance(self, now: float) -> list[Output]:
        """Whatever has become possible."""
        outputs: list[Output] = []
        if self.phase is Phase.PREPARING and self.plan:
            outputs += self._prepare(self.plan, now)
        if self.phase is Phase.RUNNING and self.plan:
            outputs += self._run(self.plan, now)
        if self.phase is Phase.STOPPING and self.plan and not self.plan.waiting:
            outputs += self._judge(self.plan, now)
        if self.phase is Phase.GATHERING:
            outputs += self._gather(now)
        return outputs

    def _prepare(self, plan: Plan, now: float) -> list[Output]:
        zero = self._roster.by_rank(0)
        if zero is not None and self._port:
            return self._start(plan, zero, now)
        if self._port_by is None or now < self._port_by:
            return []
        self.phase, self._port_by = Phase.GATHERING, None
        return [Say(f"{zero.host if zero else 'rank 0'} found no port within {PORT_WITHIN:g} s")]

    def _start(self, plan: Plan, zero: Member, now: float) -> list[Output]:
        self.phase, self._port_by, plan.began = Phase.RUNNING, None, now
        members = sorted(self._roster.inside, key=lambda member: member.rank or 0)
        heirs = [member for member in members if member.hello.port and member.node != self._node]
        successors = tuple(Successor(m.node, m.hello.address, m.hello.port) for m in heirs[:SUCCESSORS])
        plan.given = all(member.hello.node_rank == member.rank for member in members)
        base, nodes = self._quorum.base
        plan.base, plan.base_nodes, plan.same = base, len(nodes), set(nodes) == set(plan.nodes)
        before, records = set(nodes), self._ledger.records()
        leader = self._node if self._node in plan.nodes else ""

        def part(rank: int, node: str) -> Slice:
            return Slice(
                *(self.epoch, plan.attempt, rank, len(members), zero.hello.address, self._port, plan.digest),
                *(leader, base, len(nodes), node in before),
                *(plan.same, plan.given, records, successors),
            )

        plan.waiting.update(each.number for each in members)
        starts = [Send(each.number, Start(part(rank, each.node))) for rank, each in enumerate(members)]
        self._outside = part(-1, "")
        spares = [each for each in self._roster.members.values() if each.rank is None]
        return [*starts, *(output for each in spares for output in self.put_aside(each, now))]

    def put_aside(self, member: Member, now: float) -> list[Output]:
        """It is not in the attempt that runs, and knows of it all the same: it may meet another leader."""
        if self.phase not in (Phase.RUNNING, Phase.STOPPING) or self._outside is None:
            return []
        told, member.told = member.told, True
        why = self._ledger.why_excluded(member.machine, now)
        if not why and not self.gathering.may_grow(self._outside.nnodes):
            why = "this node is a spare, ready to take over"
        in_base = member.node in self._quorum.base[1]
        outside = replace(self._outside, epoch=self.epoch, in_base=in_base)
        return [Send(member.number, Aside(outside, "" if told else why))]

    def _run(self, plan: Plan, now: float) -> list[Output]:
        if plan.objection is None and not plan.waiting:
            return self.finish(End("succeeded", 0, "", self._ledger.restarts))
        if (
            plan.objection is None
            and self.gathering.may_grow(len(plan.nodes))
            and self.gathering.settled(now)
        ):
            plan.resize = "a node has joined"
            plan.object("the job grows: a node has joined", now)
        if plan.objection is None:
            return []
        self.phase = Phase.STOPPING
        stop = Stop(self.epoch, plan.attempt, *plan.objection)
        return [Send(member.number, stop) for member in self._roster.inside]

    def stop_late(self, plan: Plan, member: Member) -> list[Output]:
        """To one whose connection was away when the attempt was stopped."""
        if self.phase is not Phase.STOPPING or plan.objection is None:
            return []
        return [Send(member.number, Stop(self.epoch, plan.attempt, *plan.objection))]

    def _judge(self, plan: Plan, now: float) -> list[Output]:
        """The attempt is over everywhere: what now?"""
        inside = {member.rank: member for member in self._roster.inside}
        for member in self._roster.members.values():
            member.rank = None
        self.phase = Phase.GATHERING
        self.gathering.open(now)
        root, node = plan.root()
        if plan.resize and root is None and not plan.lost:
            return self._note(f"{plan.resize}: attempt {plan.attempt + 1} follows")
        code = root.exit_code if root else 1
        end = End("failed", code, "", self._ledger.restarts, node, root.to_record() if root else None)
        if plan.abandoned:
            why = f"rank {plan.abandoned[0]} cannot be killed: it sits in the kernel (D state)"
            return self.finish(end, why)
        if root is not None:
            there = inside.get(node)
            host, machine = (there.host, there.machine) if there else (f"node{node}", "")
            what = f"rank {root.rank} on {host} {root.describe()}"
        elif plan.lost:
            host, machine, why = plan.lost[0]
            what = f"{host} is lost: {why}"
        else:
            host, machine, what = "a node", "", plan.objection[0] if plan.objection else ""
        seconds = (plan.first_failure or now) - plan.began
        decision = self._ledger.judge(root, host, machine, seconds, plan.steps, self._roster.terms, now)
        if isinstance(decision, GiveUp):
            return [Say(what), *self.finish(end, decision.reason)]
        self.gathering.delay(now + decision.delay)
        wait = f" in {format_duration(decision.delay)}" if decision.delay else ""
        budget = self._roster.terms.max_restarts if self._roster.terms else 0
        after = f" after {plan.steps} steps" if plan.steps and not (root and root.hang) else ""
        return self._note(f"{what}{after}; restarting all workers{wait} ({decision.number} of {budget})")

    # --- the next attempt ---

    def _gather(self, now: float) -> list[Output]:
        order = self.gathering.order(now)
        if not order:
            return self._resign(now) or self._miss(now)
        self._outvoted_since = None
        attempt, self._attempts = self._attempts, self._attempts + 1
        self.plan = Plan(attempt, order, digest(attempt, order), now, unconfirmed=set(order))
        self.gathering.last_nodes = order
        self._quorum.planned(order)
        ranks = {node: rank for rank, node in enumerate(order)}
        for member in self._roster.members.values():
            member.rank = ranks.get(member.node)
        zero = self._roster.by_rank(0)
        assert zero is not None
        self.phase, self._port_by, self._port = Phase.PREPARING, now + PORT_WITHIN, 0
        return [Send(zero.number, HoldPort(self.epoch, attempt))]

    def _resign(self, now: float) -> list[Output]:
        """A successor that most have left: they look for a leader elsewhere, and so must its own agent."""
        if not self._quorum.successor or not self.gathering.outvoted():
            self._outvoted_since = None
            return []
        if self._outvoted_since is None:
            self._outvoted_since = now
        if now < self._outvoted_since + OUTVOTED_FOR:
            return []
        self.phase = Phase.ENDED
        return [Resign("most of the nodes have gone silent at once")]

    def _miss(self, now: float) -> list[Output]:
        """Says who is not there; ends the job when it has waited for long enough."""
        text = self.gathering.word(now)
        if not text or not self.gathering.overdue(now):
            return self._note(text) if text else []
        code = ExitCode.PREEMPTED if self.gathering.last_nodes else ExitCode.PRECHECK_FAILED
        return [Say(text), *self.finish(End("failed", code, text, self._ledger.restarts))]

    # --- smaller things ---

    @property
    def restarts(self) -> int:
        return self._ledger.restarts

    def count_excluded(self, now: float) -> int:
        """Members that are left out of attempts."""
        return self._ledger.count_excluded((m.machine for m in self._roster.members.values()), now)

    def resign(self) -> None:
        self.phase = Phase.ENDED

    def _note(self, text: str) -> list[Output]:
        """For the users of all nodes; the leader's own agent is one of them."""
        return [Send(number, Note(text)) for number in self._roster.members]

    def finish(self, end: End, reason: str = "") -> list[Output]:
        if self.phase is Phase.ENDED:
            return []
        self.phase = Phase.ENDED
        end = End(end.outcome, int(end.exit_code), reason or end.reason, end.restarts, end.node, end.failure)
        self.end = end
        return [*(Send(number, end) for number in (*self._roster.members, *self._roster.waiting)), end]
