"""What befalls a job: drawn from a seed."""

from itertools import permutations

from .world import FAULTS_UNTIL, Scenario, World


def scenario_of(seed: int) -> Scenario:
    """Sizes at which no two groups of nodes can each be enough, unless no agent's memory is ever lost."""
    import random

    draw = random.Random(f"scenario {seed}")
    kind = draw.choice(["fixed", "fixed", "spares", "elastic", "any size"])
    coordinator, ranked = draw.random() < 0.3, draw.random() < 0.6
    if kind == "any size":
        most = draw.randint(2, 6)
        return Scenario(draw.randint(1, most), most, 0, coordinator, ranked, kills=False)
    most = draw.randint(2, 5)
    spares = draw.randint(1, most - 1) if kind == "spares" else 0
    least = draw.randint((most + spares) // 2 + 1, most) if kind == "elastic" else most
    return Scenario(least, most, spares, coordinator, ranked)


class Faults:
    def __init__(self, world: World) -> None:
        self._world, self._random = world, world.random
        self._machines = sorted({*world.hosts, world.endpoint})
        for _ in range(self._random.randint(1, 6)):
            self._befall_at(self._random.uniform(0.5, FAULTS_UNTIL))
        world.clock.after(FAULTS_UNTIL + 20.0, lambda: world.network.heal(set(world.network.cuts)))

    def _befall_at(self, time: float) -> None:
        """One misfortune seldom comes alone: what is being repaired is hit again."""
        self._world.clock.after(time, self._befall)
        if time < FAULTS_UNTIL and self._random.random() < 0.5:
            self._befall_at(time + self._random.choice([0.01, 0.2, 1.0, 3.0, 5.0]) * self._random.random())

    def _befall(self) -> None:
        kinds = ["worker", "cut", "cut", "isolate", "isolate", "partition", "reset"]
        if self._world.scenario.kills:
            kinds += ["kill", "kill", "power", "leader", "leader", "many"]
        getattr(self, f"_{self._random.choice(kinds)}")()

    def _worker(self) -> None:
        running = [seat for seat in self._world.seats if seat.workers.slice is not None]
        if running:
            seat = self._random.choice(running)
            assert seat.workers.slice is not None
            seat.workers.fail(seat.workers.slice, consequence=False)

    def _kill(self) -> None:
        host = self._random.choice(self._machines)
        self._world.kill(host, silently=False, back_after=self._random.choice([0.3, 2.0, 8.0, 20.0]))

    def _power(self) -> None:
        host = self._random.choice(self._machines)
        self._world.kill(host, silently=True, back_after=self._random.uniform(3.0, 20.0))

    def _leader(self) -> None:
        leading = [hub for hub in self._world.hubs if hub.leader.won]
        if leading:
            host = self._random.choice(leading).process.host
            silently = self._random.random() < 0.3
            self._world.kill(host, silently, back_after=self._random.choice([0.3, 3.0, 10.0, 20.0]))

    def _many(self) -> None:
        for host in self._random.sample(self._machines, self._random.randint(1, len(self._machines))):
            self._world.kill(host, silently=False, back_after=self._random.uniform(0.3, 10.0))

    def _cut(self) -> None:
        """One link, in one direction or both."""
        here, there = self._random.sample(self._machines, 2)
        self._cut_for({(here, there)} if self._random.random() < 0.5 else {(here, there), (there, here)})

    def _isolate(self) -> None:
        host = self._random.choice([self._world.endpoint, *self._machines])
        self._cut_for({pair for pair in permutations(self._machines, 2) if host in pair})

    def _partition(self) -> None:
        side = {host for host in self._machines if self._random.random() < 0.5}
        self._cut_for({(a, b) for a, b in permutations(self._machines, 2) if (a in side) != (b in side)})

    def _cut_for(self, pairs: set[tuple[str, str]]) -> None:
        self._world.network.cut(pairs)
        seconds = self._random.choice([0.5, 2.0, 4.0, 8.0, 15.0])
        self._world.clock.after(seconds, lambda: self._world.network.heal(pairs))
        for key in list(self._world._complete):  # those who cannot reach each other cannot train together
            for seat in list(self._world._parts.get(key, {}).values()):
                if seat.workers.slice and any(seat.host in pair for pair in pairs) and seconds >= 8.0:
                    part = seat.workers.slice
                    self._world.clock.after(
                        7.0, lambda seat=seat, part=part: seat.workers.fail(part, consequence=True)
                    )

    def _reset(self) -> None:
        open_ones = [c for c in self._world.network.connections if all(c.peers)]
        for connection in self._random.sample(open_ones, min(len(open_ones), self._random.randint(1, 4))):
            connection.reset()
