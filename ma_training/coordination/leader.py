"""The leader's decisions: who may take part, whether it has the say, and where it has not. Pure.

A new job's leader, at the job's endpoint, has the say. One that finds that another has led this job
(an agent says so in its hello), and one that takes a lost leader's place, has it once enough of the
last attempt's nodes have voted for it; until then it only listens.

What runs, and what follows from failures, is decided in `course`. Feed the leader what happened; send
what it returns; call `tick` when `deadline` has come. Its state is soft: a new leader rebuilds it from what
the agents say. Times are seconds of any one clock of the leader's; clocks of nodes are never compared.
"""

from dataclasses import replace

from ma_training.job import format_duration

from .attempt import Plan
from .course import Course, Phase
from .ledger import Ledger
from .messages import (
    Done,
    Elsewhere,
    End,
    Hello,
    Leave,
    Message,
    Note,
    Ping,
    Pong,
    PortHeld,
    Refuse,
    Slice,
    Standby,
    Stands,
    Stop,
    Terms,
    Vote,
    Welcome,
    WorkerFailed,
)
from .outputs import Drop, Output, Resign, Say, Send
from .quorum import Quorum
from .roster import TAKEN_RANK, Member, Roster
from .votes import Votes, counts

LOOK_EVERY = 0.25  # seconds between looks for silent agents
LATE = 0.5  # seconds after its time that a look says more of this process than of the agents
SILENCE = 2.5  # seconds without a word after which an agent is lost; they say one each second
AWAY = 0.5  # seconds in which an agent whose connection broke may come back as if nothing had happened
REBUILD = 4.0  # seconds that a new leader gives agents to come back
POINT_FOR = 6.0  # seconds that a leader elsewhere is believed in; it says every two that it is there


class Leader:
    def __init__(
        self,
        run_id: str,
        terms: Terms | None,
        join_timeout: float,
        now: float,
        name: str,
        *,
        epoch: int = 1,
        successor: bool = False,
        node: str = "",
    ) -> None:
        """``name``: no other leader's. ``node``: of the agent in whose process it is, if any."""
        self.run_id, self.name = run_id, name
        self.won = not successor  # it has the say
        self.roster = Roster(terms)
        self._quorum = Quorum(successor)
        self._course = Course(self.roster, Ledger(), self._quorum, join_timeout, node, now)
        self._course.epoch = epoch
        self._votes = Votes(self.roster, self._quorum)
        self._rebuild_by: float | None = now + REBUILD if successor else None
        self._elsewhere: Elsewhere | None = None
        self._elsewhere_until = now
        self._next_look, self._ticked = now + LOOK_EVERY, now

    @property
    def epoch(self) -> int:
        return self._course.epoch

    @property
    def phase(self) -> Phase:
        return self._course.phase

    @property
    def plan(self) -> Plan | None:
        return self._course.plan

    @property
    def points(self) -> bool:
        """It does not lead, but tells agents where they are led."""
        return self._elsewhere is not None

    @property
    def leads(self) -> bool:
        """A candidate does not yet, and one that points does no more."""
        return self.won and not self.points

    @property
    def leads_elsewhere(self) -> bool:
        """Not at the job's endpoint, where someone may have to be told."""
        return self._quorum.successor and self.leads and self.phase is not Phase.ENDED

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called next."""
        if self.phase is Phase.ENDED:
            return None
        times = [self._next_look, *(since + TAKEN_RANK for _, since in self.roster.waiting.values())]
        times += [] if self._rebuild_by is None else [self._rebuild_by]
        times += [time for time in self._course.waits() if time > self._ticked]
        return min(times)

    # --- what happened ---

    def joined(self, number: int, hello: Hello, now: float) -> list[Output]:
        """An agent has said who it is."""
        if self.phase is Phase.ENDED:
            last_word = self._course.end or Refuse("the job is over")
            return [Send(number, last_word), Drop(number, "the job is over")]
        if self._elsewhere is not None:
            return [Send(number, self._elsewhere), Drop(number, "it is led elsewhere")]
        outputs = self._contest(hello)
        if old := self.roster.by_node.get(hello.node):
            if self._is_back(old, hello):
                return outputs + self._readmit(old, number, hello, now)
            outputs += [Drop(old.number, "it has come again"), *self._forget(old, now, "")]
        holder = self.roster.holder(hello.node_rank)
        if holder is not None and holder.away_by is not None:  # this one has come in its place
            outputs += self._forget(holder, now, "its connection broke")
            holder = None
        excluded = self._course.count_excluded(now)
        if objection := self.roster.objection(hello, excluded + (holder is not None)):
            return [*outputs, *self._refuse(number, hello, objection)]
        if holder is not None:
            self.roster.waiting[number] = (hello, now)
            return outputs
        return [*outputs, *self._admit(number, hello, now)]

    def received(self, number: int, message: Message, now: float) -> list[Output]:
        member = self.roster.members.get(number)
        if isinstance(message, Elsewhere):
            return self._on_elsewhere(message, now)
        if member is None:  # it waits for its rank: it shall not think that no one is here
            return [Send(number, self._pong())] if number in self.roster.waiting else []
        member.heard = now
        if isinstance(message, Ping):
            self._course.confirm(member, message.attempt)
            return [Send(number, self._pong())]
        if isinstance(message, Vote):
            return self._on_vote(member, message, now)
        if isinstance(message, Leave):
            self._quorum.account_for(member.node)
            return [*self._forget(member, now, f"it left: {message.why}"), Drop(number, message.why)]
        if self.plan is None or member.rank is None or getattr(message, "attempt", -1) != self.plan.attempt:
            return []  # of an attempt that is over
        if isinstance(message, PortHeld) and member.rank == 0:
            self._course.port_held(message.attempt, message.port)
        elif isinstance(message, WorkerFailed):
            self._course.failed(self.plan, member, message, now)
        elif isinstance(message, Stands):
            self._course.stands(self.plan, member, message, now)
        elif isinstance(message, Done) and number in self.plan.waiting:
            self._course.done(self.plan, member, message, now)
        return self._advance(now)

    def lost(self, number: int, why: str, now: float) -> list[Output]:
        """A connection broke. ``why`` in plain words."""
        self.roster.waiting.pop(number, None)
        member = self.roster.members.get(number)
        if member is None:
            return []
        if member.rank is None or self.phase not in (Phase.RUNNING, Phase.STOPPING):
            return self._forget(member, now, why)
        member.away_by, member.why_away = now + AWAY, why
        self._next_look = min(self._next_look, member.away_by)
        return []

    def stop(self, signal: int, now: float) -> list[Output]:
        """The leader's own user, or scheduler, ends the job."""
        return self._course.finish(End("stopped", 128 + signal, "", self._course.restarts))

    def tick(self, now: float) -> list[Output]:
        self._ticked = now
        if self.phase is Phase.ENDED:
            return []
        outputs: list[Output] = []
        if self._elsewhere is not None and now >= self._elsewhere_until:
            self._elsewhere = None
        if now >= self._next_look:
            if now > self._next_look + LATE:  # this process stood still: what they said is still to be read
                self._excuse(now - self._next_look)
            self._next_look = now + LOOK_EVERY
            outputs += self._look(now)
        for number, (hello, since) in list(self.roster.waiting.items()):
            outputs += self._ask_again(number, hello, since, now)
        if self._rebuild_by is not None and now >= self._rebuild_by:
            outputs += self._end_rebuild(now)
        return outputs + self._advance(now)

    def _excuse(self, seconds: float) -> None:
        for member in self.roster.members.values():
            member.heard += seconds
            member.away_by = None if member.away_by is None else member.away_by + seconds

    def _look(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        for member in list(self.roster.members.values()):
            if member.away_by is not None and now >= member.away_by:
                outputs += self._forget(member, now, member.why_away)
            elif member.away_by is None and now >= member.heard + SILENCE:
                why = f"nothing was heard of it for {format_duration(now - member.heard)}"
                outputs += [Drop(member.number, why), *self._forget(member, now, why)]
        return outputs

    # --- coming and going ---

    def _is_back(self, old: Member, hello: Hello) -> bool:
        """Only its connection had broken: it is in the attempt still."""
        running = hello.last is not None and self.plan is not None and self.plan.contains(hello.last)
        return running and old.rank is not None and self.phase in (Phase.RUNNING, Phase.STOPPING)

    def _readmit(self, old: Member, number: int, hello: Hello, now: float) -> list[Output]:
        assert self.plan is not None
        outputs: list[Output] = [] if old.away_by is not None else [Drop(old.number, "it has come again")]
        self.roster.remove(old)
        member = self.roster.add(replace(old, number=number, hello=hello, heard=now, away_by=None))
        self._votes.remove(old)
        outputs.append(self._greeting(number))
        if old.number in self.plan.waiting:
            self.plan.waiting.discard(old.number)
            self._resume(self.plan, member, now)
            outputs += self._course.stop_late(self.plan, member)
        return outputs + self._advance(now)

    def _admit(self, number: int, hello: Hello, now: float) -> list[Output]:
        member = self.roster.add(Member(number, hello, now, now))
        self._course.heard_of(hello.attempt)
        self._course.gathering.joined(member, now)
        outputs: list[Output] = []
        if hello.last is not None:
            outputs += self._learn(member, hello.last, now)
        outputs.append(self._greeting(number))
        for text in self.roster.odd_versions(member):
            outputs += [Say(text), Send(number, Note(text))]
        if hello.last is not None and hello.running and member.rank is None:
            why = f"attempt {hello.last.attempt} has ended without this node"
            outputs.append(Send(number, Stop(self.epoch, hello.last.attempt, why)))
        if member.rank is None and self.won:
            outputs += self._course.put_aside(member, now)
        return outputs + self._advance(now)

    def _pong(self) -> Pong:
        return Pong(self.epoch, self._quorum.base[0])

    def _greeting(self, number: int) -> Output:
        if self.won:
            return Send(number, Welcome(self.epoch, self.name, self.run_id))
        return Send(number, Standby(self.epoch, self.name))

    def _ask_again(self, number: int, hello: Hello, since: float, now: float) -> list[Output]:
        """For a node rank whose holder may have died meanwhile."""
        holder = self.roster.holder(hello.node_rank)
        if holder is not None and now < since + TAKEN_RANK:
            return []
        del self.roster.waiting[number]
        if holder is None:
            return self.joined(number, hello, now)
        text = f"node rank {hello.node_rank} of {hello.host} is {holder.host}'s already"
        return self._refuse(number, hello, text)

    def _refuse(self, number: int, hello: Hello, why: str) -> list[Output]:
        return [Send(number, Refuse(why)), Drop(number, why), Say(f"{hello.host} was refused: {why}")]

    def _forget(self, member: Member, now: float, why: str) -> list[Output]:
        self.roster.remove(member)
        self._votes.remove(member)
        outputs: list[Output] = []
        if member.rank is not None:
            if why and self.phase is not Phase.ENDED:
                outputs.append(Say(f"{member.host} is lost: {why}"))
            self._course.lost(member, why, now)
        return outputs + self._advance(now)

    # --- having the say ---

    def _contest(self, hello: Hello) -> list[Output]:
        """One that has voted for another leader comes to this one: it must ask all for a later epoch."""
        if hello.epoch < self.epoch or (hello.epoch, hello.leader) == (self.epoch, self.name):
            return []
        self._course.epoch = hello.epoch + 1
        self._votes.clear()
        if self.plan is not None or self._quorum.successor:
            self.won = False
        return [self._greeting(number) for number in self.roster.members]

    def _learn(self, member: Member, last: Slice, now: float) -> list[Output]:
        """It was in an attempt; if that is the latest that was heard of, this leader goes on with it."""
        outputs: list[Output] = []
        if self.plan is None or (self.plan.hearsay and last.attempt > self.plan.attempt):
            self._course.take_up(last, now)
            self.won, self._rebuild_by = False, now + REBUILD
            self._votes.clear()
            others = [other for other in self.roster.members.values() if other is not member]
            outputs = [self._greeting(other.number) for other in others]
            for other in others:
                other.rank = None
                if other.hello.running and other.hello.last:
                    why = f"attempt {last.attempt} has followed without this node"
                    outputs.append(Send(other.number, Stop(self.epoch, other.hello.last.attempt, why)))
        plan = self.plan
        assert plan is not None
        if plan.contains(last):
            plan.settled |= member.hello.settled
        rebuilding = plan.hearsay and plan.contains(last) and last.node_rank >= 0
        if rebuilding and plan.nodes[last.node_rank] in ("", member.node):
            plan.nodes[last.node_rank] = member.node
            member.rank = last.node_rank
            self._resume(plan, member, now)
        return outputs

    def _resume(self, plan: Plan, member: Member, now: float) -> None:
        if member.hello.running:
            plan.waiting.add(member.number)
        else:
            done = member.hello.done or Done(plan.attempt, (), cut_short=True)
            self._course.done(plan, member, done, now)

    def _on_vote(self, member: Member, vote: Vote, now: float) -> list[Output]:
        plan = self.plan
        if vote.epoch != self.epoch:
            return []
        self._votes.add(member)
        if self.won or plan is None or not self._votes.enough(plan):
            return []
        self.won = True
        outputs: list[Output] = [self._greeting(number) for number in self.roster.members]
        if self._quorum.successor and plan.hearsay:
            text = f"this node leads now: {len(self._votes)} want it, of the last attempt's {len(plan.nodes)}"
            outputs.append(Say(text))
        return outputs + self._advance(now)

    def _end_rebuild(self, now: float) -> list[Output]:
        """Who has not come back until now is lost."""
        plan = self.plan
        if not self.won:
            if self._quorum.successor:
                self._course.resign()
                return [Resign(f"it got {len(self._votes)} votes, which are not enough to lead")]
            if plan is not None and not any(member.hello.last for member in self.roster.members.values()):
                self._forget_plan(now)  # the last that knew of it has gone
                return [self._greeting(number) for number in self.roster.members]
            self._rebuild_by = now + REBUILD
            return []
        self._rebuild_by = None
        if plan is not None and plan.hearsay:
            others = (member for member in self.roster.members.values() if member.rank is None)
            stand_ins = [member.node for member in others if counts(plan, member)]
            for rank in plan.missing:
                self._course.lose(plan, f"node{rank}", "", "it has not come back", now)
                # Whoever takes its place counts for the next attempt's majority.
                plan.nodes[rank] = stand_ins.pop() if stand_ins else f"unknown node {rank}"
        return []

    def _forget_plan(self, now: float) -> None:
        self._course.forget_plan(now)
        self._quorum.reset()
        self._votes.clear()
        self.won, self._rebuild_by = True, None

    def _on_elsewhere(self, message: Elsewhere, now: float) -> list[Output]:
        """A successor was elected while no one was here, or while this leader was cut off."""
        if self.won and self.plan is not None and self.epoch >= message.epoch:
            return []
        self._elsewhere, self._elsewhere_until = message, now + POINT_FOR
        outputs: list[Output] = []
        for number in (*self.roster.members, *self.roster.waiting):
            outputs += [Send(number, message), Drop(number, "it is led elsewhere")]
        self.roster.clear()
        self._forget_plan(now)
        return outputs

    def _advance(self, now: float) -> list[Output]:
        if not self.won or self._elsewhere is not None:
            return []
        plan = self.plan
        outputs: list[Output] = []
        if plan is not None and plan.hearsay:
            if plan.missing:
                return []
            self._rebuild_by, plan.hearsay = None, False
            self._course.gathering.last_nodes = plan.nodes
            self._votes.settle(plan)
            if plan.objection is None:
                outputs.append(
                    Say(f"all {len(plan.nodes)} nodes have come back: attempt {plan.attempt} goes on")
                )
        return outputs + self._course.advance(now)
