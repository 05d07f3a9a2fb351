"""A job in virtual time: its machines, what befalls them, and what must hold all the while."""

from dataclasses import dataclass

from ma_training.coordination.course import Phase
from ma_training.coordination.leader import Leader
from ma_training.coordination.messages import End, Message, Slice, Terms

from .network import Clock, Network
from .seat import Coordinator, Process, Seat, SimulatedHub, again
from .workers import Workers

FAULTS_UNTIL = 60.0  # seconds; then everything is whole again
END_BY = 400.0  # seconds: far beyond all time-outs


@dataclass(frozen=True)
class Scenario:
    least: int
    most: int
    spares: int = 0
    coordinator: bool = False  # the leader is none of the nodes
    ranked: bool = True  # nodes are given their ranks
    kills: bool = True  # agents and machines die, rather than only links and workers
    work: float = 60.0  # seconds of training in all


class World:
    def __init__(self, seed: str, scenario: Scenario) -> None:
        self.scenario = scenario
        self.clock = Clock(seed)
        self.random = self.clock.random
        self.network = Network(self.clock)
        self.hubs: list[SimulatedHub] = []
        self.trained = 0.0  # seconds; checkpoints keep it
        self.attempts = 0  # that were complete
        self._names = 0
        self._ports = 20000
        self._held: dict[tuple[str, int], int] = {}  # by node and attempt
        self._parts: dict[tuple[int, str], dict[int, Seat]] = {}  # ranks that are ready, by attempt
        self._complete: dict[tuple[int, str], tuple[Slice, float]] = {}  # since when
        self._starts: dict[tuple[int, str], str] = {}  # attempt and digest → leader
        self.elections = 0  # of successors
        self._won: dict[str, bool] = {}
        terms = Terms(scenario.least, scenario.most, scenario.spares, 1, 1000)
        self._terms = terms
        count = scenario.most + scenario.spares
        self.hosts = [f"host{index}" for index in range(count)]
        self.endpoint = "hub" if scenario.coordinator else self.hosts[0]
        self.processes: dict[str, Process] = {}
        if scenario.coordinator:
            self.start("hub")
        for host in self.hosts:
            self.clock.after(self.random.uniform(0, 2.0), lambda host=host: self.start(host))  # type: ignore[misc]

    # --- machines ---

    def new_name(self, host: str) -> str:
        self._names += 1
        return f"{host}/{self._names}"

    def start(self, host: str) -> None:
        process = self.processes.get(host)
        if self.succeeded or (process is not None and process.alive):
            return
        if host == "hub":
            self.processes[host] = Coordinator(self, host)
            return
        rank = self.hosts.index(host)
        ranked = self.scenario.ranked and rank < self.scenario.most
        leads = host == self.endpoint
        self.processes[host] = Seat(self, host, rank if ranked else None, self._terms, leads)

    def kill(self, host: str, silently: bool, back_after: float) -> None:
        process = self.processes.get(host)
        if process is not None and process.alive:
            process.die(silently)
        self.clock.after(back_after, lambda: self.start(host))

    @property
    def seats(self) -> list[Seat]:
        return [process for process in self.processes.values() if isinstance(process, Seat) and process.alive]

    @property
    def succeeded(self) -> bool:
        return self.trained >= self.scenario.work

    # --- what the parts tell ---

    def workers_of(self, seat: Seat) -> Workers:
        return Workers(seat)

    def hold_port(self, seat: Seat, attempt: int) -> int:
        self._ports += 1
        self._held[seat.node, attempt] = self._ports
        return self._ports

    def on_the_wire(self, message: Message) -> Message:
        if self.random.random() < 0.02:
            assert again(message) == message
        return message

    def on_start_sent(self, leader: Leader, part: Slice) -> None:
        """An attempt has one leader, and only one that has the say."""
        assert leader.won
        key = (part.attempt, part.digest)
        assert self._starts.setdefault(key, leader.name) == leader.name

    def watch(self, leader: Leader) -> None:
        """At most one leader is elected an epoch."""
        before = self._won.get(leader.name, leader.won)
        if leader.won and not before and leader.plan is not None:
            others = [hub.leader for hub in self.hubs if hub.leader is not leader]
            assert not any(other.won and other.epoch == leader.epoch and other.plan for other in others)
            self.elections += leader.leads_elsewhere
        self._won[leader.name] = leader.won

    def part_ready(self, seat: Seat, part: Slice) -> None:
        parts = self._parts.setdefault((part.attempt, part.digest), {})
        assert part.node_rank not in parts, "one node a rank"
        assert seat.node_rank != 0 or part.node_rank == 0, "who is given rank 0 has it"
        parts[part.node_rank] = seat
        if len(parts) == part.nnodes:
            self._on_complete(part, parts)
        else:
            self.clock.after(self.random.uniform(15, 30), lambda: self._meeting_failed(seat, part))

    def _meeting_failed(self, seat: Seat, part: Slice) -> None:
        if (part.attempt, part.digest) not in self._complete:
            seat.workers.fail(part, consequence=True)

    def _on_complete(self, part: Slice, parts: dict[int, Seat]) -> None:
        """All its ranks are there: it trains. Nothing else does."""
        key = (part.attempt, part.digest)
        self.attempts += 1
        assert sorted(parts) == list(range(part.nnodes))
        slices = [seat.workers.slice for seat in parts.values()]
        assert len({(each.master_addr, each.master_port) for each in slices if each}) == 1
        assert self._held[parts[0].node, part.attempt] == part.master_port, "rank 0 holds the port"
        assert not self._complete, f"two attempts train: {key} and {list(self._complete)}"
        since = self.clock.now
        self._complete[key] = (part, since)
        self.clock.after(self.scenario.work - self.trained, lambda: self._finish(key, since))

    def _finish(self, key: tuple[int, str], since: float) -> None:
        if key in self._complete and self._complete[key][1] == since:
            del self._complete[key]
            self.trained = self.scenario.work
            for seat in list(self._parts.pop(key).values()):
                assert seat.workers.slice is not None
                seat.workers.succeed(seat.workers.slice)

    def part_gone(self, seat: Seat, part: Slice) -> None:
        """The others lose a peer: some notice at once, some late."""
        key = (part.attempt, part.digest)
        parts = self._parts.get(key, {})
        if parts.get(part.node_rank) is not seat:
            return
        del parts[part.node_rank]
        if key in self._complete:
            self.trained += min(self.clock.now - self._complete.pop(key)[1], self.scenario.work / 4)
            for other in parts.values():
                mine = other.workers.slice
                assert mine is not None
                self.clock.after(
                    self.random.choice([0.01, 0.5, 12.0]),
                    lambda other=other, mine=mine: other.workers.fail(mine, consequence=True),  # type: ignore[misc]
                )

    def on_end(self, seat: Seat, end: End) -> None:
        """The process ends. Where the job has not, a scheduler starts it again."""
        seat.die()
        seat.alive = False
        if end.outcome == "succeeded":
            assert self.succeeded
        else:
            assert end.exit_code in (64, 69, 75), end
            self.clock.after(self.random.uniform(0.5, 3.0), lambda: self.start(seat.host))

    # --- the whole ---

    def over(self) -> bool:
        return self.succeeded and not self.seats

    def run(self) -> None:
        self.clock.run(END_BY, self.over)
        assert self.succeeded, f"no success: {self.describe()}"
        assert not self.seats, f"they wait for something: {self.describe()}"

    def describe(self) -> str:
        lines = [f"t={self.clock.now:.1f} trained={self.trained:.1f} cuts={sorted(self.network.cuts)}"]
        for hub in self.hubs:
            leader = hub.leader
            plan = leader.plan
            lines.append(
                f"leader {leader.name} on {hub.process.host} epoch={leader.epoch} {leader.phase.name} "
                f"won={leader.won} points={leader.points} members={list(leader.roster.by_node)} "
                f"plan={plan and (plan.attempt, plan.nodes, plan.hearsay, plan.objection, plan.waiting)}"
            )
        for seat in self.seats:
            f = seat.follower
            lines.append(
                f"{seat.node} rank={seat.node_rank} epoch={f.epoch} following={f.following} slice="
                f"{f.slice and f.slice.attempt} why={f._why!r} target={f._target} connected={f._connected}"
            )
        return "\n".join(lines)


__all__ = ["END_BY", "FAULTS_UNTIL", "Phase", "Scenario", "World"]
