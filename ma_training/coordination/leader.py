"""The leader's decisions: who takes part, which attempt runs, what a failure leads to. Pure.

gathering ──enough nodes──▶ preparing ──rank 0 has a port──▶ running ──all done──▶ ended
    ▲                                                           │ a worker failed, a node was lost,
    └────────── restart policy ◀── all have stopped ◀── stopping◀┘ a newcomer makes the job larger

Feed it what happened; send what it returns; call `tick` when `deadline` has come. Its state is
soft: a new leader, at the same address or another, rebuilds it from what the agents say (`Slice`).
Times are seconds of any one clock of the leader's; clocks of nodes are never compared.
"""

from enum import Enum, auto

from ma_training.diagnosis import WorkerFailure
from ma_training.job import ExitCode, format_duration

from .attempt import Plan
from .gathering import Gathering
from .ledger import Ledger
from .messages import (
    Done,
    End,
    Hello,
    HoldPort,
    Leave,
    Message,
    Note,
    Ping,
    Pong,
    PortHeld,
    Refuse,
    Slice,
    Start,
    Stop,
    Successor,
    Terms,
    Welcome,
    WorkerFailed,
)
from .outputs import Drop, Output, Resign, Say, Send
from .plan import digest
from .restart_policy import GiveUp
from .roster import TAKEN_RANK, Member, Roster

LOOK_EVERY = 0.25  # seconds between looks for silent agents
SILENCE = 2.5  # seconds without a word after which an agent is lost; they say one each second
PORT_WITHIN = 10.0  # seconds that rank 0's agent has to find a port
REBUILD = 4.0  # seconds that a new leader gives agents to come back
SUCCESSORS = 3
ENDPOINT_EPOCH = 1000  # a leader at the job's endpoint begins a new thousand of epochs


class Phase(Enum):
    GATHERING, PREPARING, RUNNING, STOPPING, ENDED = auto(), auto(), auto(), auto(), auto()


class Leader:
    def __init__(
        self,
        run_id: str,
        terms: Terms | None,
        join_timeout: float,
        now: float,
        epoch: int = 1,
        votes: int = 0,
        node: str = "",
    ) -> None:
        """``votes``: how many agents of the last attempt a successor needs to hear of before it acts.
        ``node``: of the agent that leads, if one does."""
        self.run_id, self.epoch = run_id, epoch
        self.phase = Phase.GATHERING
        self.roster, self.ledger = Roster(terms), Ledger()
        self.plan: Plan | None = None
        self.gathering = Gathering(self.roster, self.ledger, join_timeout, now)
        self._votes, self._node = votes, node
        self._next_look, self._ticked = now + LOOK_EVERY, now
        self._rebuild_by: float | None = now + REBUILD if votes else None
        self._port_by: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called next."""
        if self.phase is Phase.ENDED:
            return None
        times = [self._next_look, *(since + TAKEN_RANK for _, since in self.roster.waiting.values())]
        times += [time for time in (self._rebuild_by, self._port_by) if time is not None]
        if self.phase is Phase.GATHERING:
            times += [time for time in self.gathering.waits() if time > self._ticked]
        return min(times)

    # --- what happened ---

    def joined(self, number: int, hello: Hello, now: float) -> list[Output]:
        """An agent has said who it is."""
        outputs: list[Output] = []
        if self.phase is Phase.ENDED:
            return [Send(number, Refuse("the job is over")), Drop(number, "the job is over")]
        if self._votes and hello.epoch >= self.epoch:
            return [Drop(number, "it has promised to follow a later leader")]
        if old := self.roster.by_node.get(hello.node):  # its connection is not yet seen to be broken
            outputs += [Drop(old.number, "it has come again"), *self._forget(old, now, "")]
        excluded = self.ledger.count_excluded((m.machine for m in self.roster.members.values()), now)
        holder = self.roster.holder(hello.node_rank)
        if objection := self.roster.objection(hello, excluded + (holder is not None)):
            return [*outputs, *self._refuse(number, hello, objection)]
        if holder is not None:
            self.roster.waiting[number] = (hello, now)
            return outputs
        return [*outputs, *self._admit(number, hello, now)]

    def received(self, number: int, message: Message, now: float) -> list[Output]:
        member = self.roster.members.get(number)
        if member is None:  # it waits for its rank: it shall not think that no one is here
            return [Send(number, Pong(self.epoch))] if number in self.roster.waiting else []
        member.heard = now
        if isinstance(message, Ping):
            return [Send(number, Pong(self.epoch))]
        if isinstance(message, Leave):
            why = f"it left: {message.why}"
            return [*self._forget(member, now, why, certain=True), Drop(number, message.why)]
        if self.plan is None or member.rank is None or getattr(message, "attempt", -1) != self.plan.attempt:
            return []  # of an attempt that is over
        if isinstance(message, PortHeld) and member.rank == 0 and self.phase is Phase.PREPARING:
            return self._start(self.plan, member, message.port, now)
        if isinstance(message, WorkerFailed):
            return self._on_failed(self.plan, member, message, now)
        if isinstance(message, Done) and number in self.plan.waiting:
            return self._on_done(self.plan, member, message, now)
        return []

    def lost(self, number: int, why: str, now: float) -> list[Output]:
        """A connection broke. ``why`` in plain words."""
        self.roster.waiting.pop(number, None)
        member = self.roster.members.get(number)
        return self._forget(member, now, why) if member else []

    def stop(self, signal: int, now: float) -> list[Output]:
        """The leader's own user, or scheduler, ends the job."""
        return self._end(End("stopped", 128 + signal, "", self.ledger.restarts))

    def tick(self, now: float) -> list[Output]:
        self._ticked = now
        outputs: list[Output] = []
        silent: list[Member] = []
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            silent = [m for m in self.roster.members.values() if now - m.heard >= SILENCE]
        for member in silent:
            why = f"nothing was heard of it for {format_duration(now - member.heard)}"
            outputs += [Drop(member.number, why), *self._forget(member, now, why)]
        for number, (hello, since) in list(self.roster.waiting.items()):
            outputs += self._ask_again(number, hello, since, now)
        if self._rebuild_by is not None and now >= self._rebuild_by:
            outputs += self._end_rebuild(now)
            if self.phase is Phase.ENDED:
                return outputs
        if self._port_by is not None and now >= self._port_by:
            zero = self.roster.by_rank(0)
            outputs.append(Say(f"{zero.host if zero else 'rank 0'} found no port within {PORT_WITHIN:g} s"))
            self.phase, self._port_by = Phase.GATHERING, None
        return outputs + self._advance(now)

    # --- coming and going ---

    def _admit(self, number: int, hello: Hello, now: float) -> list[Output]:
        member = self.roster.add(Member(number, hello, now, now))
        self.gathering.joined(member, now)
        outputs: list[Output] = []
        if hello.epoch >= self.epoch:  # an earlier leader's: this one comes after it
            # Successors count on by ones: no two leaders have one epoch.
            self.epoch = (hello.epoch // ENDPOINT_EPOCH + 1) * ENDPOINT_EPOCH
            others = [other for other in self.roster.members if other != number]
            outputs += [Send(other, Welcome(self.epoch, self.run_id)) for other in others]
        if not self._votes:  # else once it is elected
            outputs.append(Send(number, Welcome(self.epoch, self.run_id)))
        for text in self.roster.odd_versions(member):
            outputs += [Say(text), Send(number, Note(text))]
        if hello.running is not None:
            outputs += self._take_up(member, hello.running, now)
        return outputs + self._advance(now)

    def _ask_again(self, number: int, hello: Hello, since: float, now: float) -> list[Output]:
        """For a node rank whose holder may have died meanwhile."""
        holder = self.roster.holder(hello.node_rank)
        if holder is not None and now - since < TAKEN_RANK:
            return []
        del self.roster.waiting[number]
        if holder is None:
            return self.joined(number, hello, now)
        text = f"node rank {hello.node_rank} of {hello.host} is {holder.host}'s already"
        return self._refuse(number, hello, text)

    def _refuse(self, number: int, hello: Hello, why: str) -> list[Output]:
        return [Send(number, Refuse(why)), Drop(number, why), Say(f"{hello.host} was refused: {why}")]

    def _forget(self, member: Member, now: float, why: str, certain: bool = False) -> list[Output]:
        """``certain``: it has said that it ends. A broken connection alone does not say that it follows
        no other leader."""
        self.roster.remove(member)
        if certain:
            self.gathering.accounted.add(member.node)
        if member.rank is None:
            return self._advance(now)
        said = why and self.phase is not Phase.ENDED
        outputs: list[Output] = [Say(f"{member.host} is lost: {why}")] if said else []
        if self.phase is Phase.PREPARING:
            self.phase, self._port_by = Phase.GATHERING, None
        elif self.phase in (Phase.RUNNING, Phase.STOPPING) and self.plan:
            self.plan.lost.append((member.host, member.machine, why or "its agent has come again"))
            self.plan.waiting.discard(member.number)
            if self.phase is Phase.RUNNING:
                outputs += self._stop_attempt(self.plan, f"{member.host} is lost", now)
        return outputs + self._advance(now)

    # --- a new leader ---

    def _take_up(self, member: Member, running: Slice, now: float) -> list[Output]:
        """Its workers run. If no attempt is known here, another leader began it: this one goes on with it."""
        if self.plan is None and self.phase is Phase.GATHERING:
            self.plan = Plan(running.attempt, [""] * running.nnodes, running.digest, now)
            self.phase, self._rebuild_by = Phase.RUNNING, self._rebuild_by or now + REBUILD
            self.gathering.last_nodes = self.plan.nodes
            self.ledger.restore(running.ledger)
        plan, rank = self.plan, running.node_rank
        same = plan and (plan.attempt, plan.digest, len(plan.nodes)) == (
            running.attempt,
            running.digest,
            running.nnodes,
        )
        free = plan and same and plan.nodes[rank] in ("", member.node)
        if plan is None or not free or self.phase is not Phase.RUNNING:
            why = f"attempt {running.attempt} has ended without this node"
            return [Send(member.number, Stop(self.epoch, running.attempt, why))]
        plan.nodes[rank] = member.node
        member.rank = rank
        plan.waiting.add(member.number)
        outputs: list[Output] = []
        if self._votes and len(plan.nodes) - len(plan.missing) >= self._votes:
            self._votes = 0
            welcome = Welcome(self.epoch, self.run_id)
            outputs += [Send(other, welcome) for other in self.roster.members]
            outputs.append(Say(f"this node leads now: {len(plan.nodes) - len(plan.missing)} nodes want it"))
        if self._rebuild_by is not None and not plan.missing:
            self._rebuild_by = None
            outputs.append(Say(f"all {len(plan.nodes)} nodes have come back: attempt {plan.attempt} goes on"))
        return outputs

    def _end_rebuild(self, now: float) -> list[Output]:
        """Who has not come back until now is lost."""
        self._rebuild_by, plan = None, self.plan
        if self._votes:
            there = len(plan.nodes) - len(plan.missing) if plan else 0
            self.phase = Phase.ENDED
            return [Resign(f"{there} of the {self._votes} nodes that a new leader needs have come")]
        if plan is None or not plan.missing or self.phase is not Phase.RUNNING:
            return []
        plan.lost += [(f"node{rank}", "", "it has not come back") for rank in plan.missing]
        return self._stop_attempt(plan, f"node{plan.missing[0]} has not come back", now)

    # --- the attempt ---

    def _start(self, plan: Plan, zero: Member, port: int, now: float) -> list[Output]:
        self.phase, self._port_by, plan.began = Phase.RUNNING, None, now
        members = sorted(self.roster.inside, key=lambda member: member.rank or 0)
        heirs = [member for member in members if member.hello.port and member.node != self._node]
        successors = (Successor(m.node, m.hello.address, m.hello.port) for m in heirs[:SUCCESSORS])
        shared = (self.ledger.records(), tuple(successors))
        outputs: list[Output] = []
        for rank, each in enumerate(members):
            plan.waiting.add(each.number)
            part = Slice(
                self.epoch, plan.attempt, rank, len(members), zero.hello.address, port, plan.digest, *shared
            )
            outputs.append(Send(each.number, Start(part)))
        return outputs

    def _on_failed(self, plan: Plan, member: Member, message: WorkerFailed, now: float) -> list[Output]:
        failure = WorkerFailure.from_record(message.failure)
        plan.add(member.rank or 0, failure)
        if self.phase is not Phase.RUNNING:
            return []
        why = f"rank {failure.rank} on {member.host} {failure.describe()}"
        return self._stop_attempt(plan, why, now, message.consequence)

    def _on_done(self, plan: Plan, member: Member, message: Done, now: float) -> list[Output]:
        plan.waiting.discard(member.number)
        if message.steps is not None:
            plan.steps = max(plan.steps or 0, message.steps)
        plan.abandoned += message.abandoned
        for record in message.failures:
            plan.add(member.rank or 0, WorkerFailure.from_record(record))
        outputs: list[Output] = []
        if message.failures and self.phase is Phase.RUNNING:  # it says so only now
            outputs += self._stop_attempt(plan, f"a worker on {member.host} failed", now)
        return outputs + self._advance(now)

    def _stop_attempt(self, plan: Plan, why: str, now: float, settle: bool = False) -> list[Output]:
        self.phase, plan.first_failure = Phase.STOPPING, now
        stop = Stop(self.epoch, plan.attempt, why, settle)
        return [*(Send(member.number, stop) for member in self.roster.inside), *self._advance(now)]

    def _advance(self, now: float) -> list[Output]:
        """Whatever has become possible."""
        if self._votes:
            return []
        if self.phase is Phase.GATHERING:
            return self._gather(now)
        if self.plan is None or (self._rebuild_by is not None and self.phase is Phase.RUNNING):
            return []
        if self.phase is Phase.RUNNING:
            if not self.plan.waiting:
                return self._end(End("succeeded", 0, "", self.ledger.restarts))
            if self.gathering.may_grow(len(self.plan.nodes)) and self.gathering.settled(now):
                self.plan.resize = "a node has joined"
                return self._stop_attempt(self.plan, "the job grows: a node has joined", now)
        if self.phase is Phase.STOPPING and not self.plan.waiting:
            return self._judge(self.plan, now)
        return []

    def _judge(self, plan: Plan, now: float) -> list[Output]:
        """The attempt is over everywhere: what now?"""
        inside = {member.rank: member for member in self.roster.inside}
        for member in self.roster.members.values():
            member.rank = None
        self.phase = Phase.GATHERING
        self.gathering.open(now)
        root, node = plan.root()
        if plan.resize and root is None and not plan.lost:
            text = f"{plan.resize}: attempt {plan.attempt + 1} follows"
            return [*self._note(text), *self._gather(now)]
        code = root.exit_code if root else 1
        end = End("failed", code, "", self.ledger.restarts, node, root.to_record() if root else None)
        if plan.abandoned:
            why = f"rank {plan.abandoned[0]} cannot be killed: it sits in the kernel (D state)"
            return self._end(end, why)
        if root is not None:
            there = inside.get(node)
            host, machine = (there.host, there.machine) if there else (f"node{node}", "")
            what = f"rank {root.rank} on {host} {root.describe()}"
        else:
            host, machine, why = plan.lost[0]
            what = f"{host} is lost: {why}"
        seconds = (plan.first_failure or now) - plan.began
        decision = self.ledger.judge(root, host, machine, seconds, plan.steps, self.roster.terms, now)
        if isinstance(decision, GiveUp):
            return [Say(what), *self._end(end, decision.reason)]
        self.gathering.delay(now + decision.delay)
        wait = f" in {format_duration(decision.delay)}" if decision.delay else ""
        budget = self.roster.terms.max_restarts if self.roster.terms else 0
        after = f" after {plan.steps} steps" if plan.steps else ""
        text = f"{what}{after}; restarting all workers{wait} ({decision.number} of {budget})"
        return [*self._note(text), *self._gather(now)]

    # --- the next attempt ---

    def _gather(self, now: float) -> list[Output]:
        order = self.gathering.order(now)
        if not order:
            return self._miss(now)
        attempt = self.plan.attempt + 1 if self.plan else 0
        self.plan = Plan(attempt, order, digest(attempt, order), now)
        ranks = {node: rank for rank, node in enumerate(order)}
        outputs: list[Output] = []
        for member in self.roster.members.values():
            member.rank = ranks.get(member.node)
            if member.rank == 0:
                outputs.append(Send(member.number, HoldPort(self.epoch, attempt)))
            elif member.rank is None and not member.told:
                member.told = True
                why = self.ledger.why_excluded(member.machine, now)
                outputs.append(Send(member.number, Note(why or "this node is a spare, ready to take over")))
        self.phase, self._port_by = Phase.PREPARING, now + PORT_WITHIN
        return outputs

    def _miss(self, now: float) -> list[Output]:
        """Says who is not there; ends the job when it has waited for long enough."""
        text = self.gathering.word(now)
        if not text or not self.gathering.overdue(now):
            return self._note(text) if text else []
        code = ExitCode.PREEMPTED if self.gathering.last_nodes else ExitCode.PRECHECK_FAILED
        return [Say(text), *self._end(End("failed", code, text, self.ledger.restarts))]

    # --- smaller things ---

    def _note(self, text: str) -> list[Output]:
        """For the users of all nodes; the leader's own agent is one of them."""
        return [Send(number, Note(text)) for number in self.roster.members]

    def _end(self, end: End, reason: str = "") -> list[Output]:
        if self.phase is Phase.ENDED:
            return []
        self.phase = Phase.ENDED
        end = End(end.outcome, int(end.exit_code), reason or end.reason, end.restarts, end.node, end.failure)
        return [*(Send(number, end) for number in (*self.roster.members, *self.roster.waiting)), end]
