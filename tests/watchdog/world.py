"""A node of ranks that train, wait, work and hang in simulated time, and what a collector would see of them.

A rank is a generator of what it does next. Collectives bind the ranks: the n-th of each is one, and who comes
early waits in it, asleep (gloo) or spinning (NCCL).
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ma_training.watchdog.evidence import DeviceEvidence, Evidence, Frame, RankEvidence, Stack
from ma_training.watchdog.recording import Entry, Stacks
from ma_training.watchdog.rules import Finding, Watch

START, MAIN, ATEXIT = 1, 2, 3
FOREVER = 1e9
MAIN_FRAME = Frame("<module>", "/job/train.py", 90)


def at(*places: str) -> tuple[Frame, ...]:
    """A stack of "function:line", innermost first, below the script."""
    named = [place.partition(":") for place in places]
    return (*(Frame(name, "/job/train.py", int(line or 1)) for name, _, line in named), MAIN_FRAME)


FORWARD = [at(f"linear:{line}", "forward:20") for line in range(40, 44)] + [
    at("backward:60", "step:88"),
    at("step:70", "adam:12"),
]


@dataclass(frozen=True)
class Do:
    """Something for so many seconds: rates are per second, of the rank's process tree."""

    seconds: float
    cpu: float = 0.0
    io: float = 0.0
    log: float = 0.0
    network: float = 0.0
    states: str = "SSS"
    stacks: tuple[tuple[Frame, ...], ...] = (at("wait:1"),)
    gil: float = 0.0  # share of the samples in which it owns the GIL
    collective: str = ""
    stretchable: bool = False  # it takes longer where the CPU is throttled
    device: float = 0.0  # percent


def busy(seconds: float, cores: float = 1.0, io: float = 20e3, device: float = 0.0) -> Do:
    """Computes, in several places."""
    states = "R" * max(1, round(cores)) + "SS"
    return Do(seconds, cores, io, 0, 0, states, tuple(FORWARD), 0.4, stretchable=True, device=device)


def asleep(seconds: float, *places: str) -> Do:
    return Do(seconds, stacks=(at(*places),))


@dataclass(frozen=True)
class Collective:
    name: str = "all_reduce"
    place: str = "step:88"
    seconds: float = 0.002  # for the transfer


@dataclass(frozen=True)
class Mark:
    """A step, a commit, or a new phase or section."""

    steps: int = 0
    beats: int = 0
    phase: int | None = None
    section: str | None = None
    log: int = 0  # bytes printed


Program = Iterator[Do | Collective | Mark]


@dataclass
class Rank:
    number: int
    program: Program
    time: float = 0.0
    done: bool = False
    pieces: list[tuple[float, Do, float, float, float]] = field(default_factory=list)  # from; totals before
    marks: list[tuple[float, RankEvidence]] = field(default_factory=list)
    waits: Collective | None = None
    cpu: float = 0.0
    io: float = 0.0
    log: float = 0.0

    def add(self, do: Do) -> None:
        self.pieces.append((self.time, do, self.cpu, self.io, self.log))
        self.time += do.seconds
        self.cpu += do.cpu * do.seconds
        self.io += do.io * do.seconds
        self.log += do.log * do.seconds

    def mark(self, mark: Mark) -> None:
        last = self.marks[-1][1] if self.marks else RankEvidence(self.number, START)
        new = replace(last, phase=last.phase if mark.phase is None else mark.phase)
        if mark.steps:
            new = replace(new, steps=(new.steps or 0) + mark.steps, step_at=self.time)
        if mark.beats:
            new = replace(new, beats=new.beats + mark.beats, beat_at=self.time)
        if mark.section is not None:
            new = replace(new, section=mark.section, section_at=self.time)
        self.log += mark.log
        self.marks.append((self.time, new))


@dataclass
class World:
    """``stretch``: how much slower busy pieces run at a time. ``spin``: cores used while waiting (NCCL)."""

    ranks: list[Rank]
    rng: random.Random
    stretch: Callable[[float], float] = lambda time: 1.0
    spin: float = 0.0
    counts_steps: bool = True
    devices: bool = False

    def run(self, until: float) -> None:
        while any(not rank.done and rank.waits is None and rank.time < until for rank in self.ranks):
            for rank in self.ranks:
                self._advance(rank, until)
            self._meet()
        for rank in self.ranks:
            if rank.waits:
                rank.add(self._wait(rank.waits, FOREVER))

    def _advance(self, rank: Rank, until: float) -> None:
        while not rank.done and rank.waits is None and rank.time < until:
            step = next(rank.program, None)
            if step is None:
                rank.done = True
            elif isinstance(step, Mark):
                rank.mark(step)
            elif isinstance(step, Collective):
                rank.waits = step
            elif step.stretchable and (factor := self.stretch(rank.time)) > 1:
                rank.add(replace(step, seconds=step.seconds * factor, cpu=step.cpu / factor))
            else:
                rank.add(step)

    def _meet(self) -> None:
        waits = [rank.waits for rank in self.ranks]
        if any(one is None or one.name != waits[0].name for one in waits if waits[0]) or waits[0] is None:
            return
        end = max(rank.time for rank in self.ranks) + waits[0].seconds
        for rank in self.ranks:
            assert rank.waits is not None
            rank.add(self._wait(rank.waits, end - rank.time))
            rank.waits = None

    def _wait(self, on: Collective, seconds: float) -> Do:
        states = "RSS" if self.spin else "SSS"
        place = (at("all_reduce:2500", on.place),)
        device = 100.0 if self.spin else 0.0
        return Do(seconds, self.spin, 0, 0, 0, states, place, 0, on.name, device=device)

    # --- what is seen ---

    def doing(self, rank: Rank, time: float) -> tuple[Do, float, float, float]:
        index = bisect_right(rank.pieces, time, key=lambda piece: piece[0]) - 1
        began, do, cpu, io, log = rank.pieces[max(index, 0)]
        if rank.done and time > rank.time:
            return asleep(0, "exit:1"), rank.cpu, rank.io, rank.log
        passed = min(max(time - began, 0.0), do.seconds)
        return do, cpu + do.cpu * passed, io + do.io * passed, log + do.log * passed

    def rank_evidence(self, rank: Rank, time: float) -> RankEvidence:
        do, cpu, io, log = self.doing(rank, time)
        index = bisect_right(rank.marks, time, key=lambda mark: mark[0]) - 1
        known = rank.marks[index][1] if index >= 0 else RankEvidence(rank.number, START)
        if not self.counts_steps:
            known = RankEvidence(rank.number, known.phase)
        elif known.phase and known.phase >= MAIN and known.steps is None:
            known = replace(known, steps=0)
        noise = self.rng.uniform(0.0, 0.02) * time  # of monitors in the background
        cpu = round(cpu + 0.01 * time, 2)
        return replace(known, cpu=cpu, io=int(io + 5e3 * time + noise), states=do.states, log=int(log))


@dataclass(frozen=True)
class Happens:
    """To all of it, between two moments of simulated time: a stop (state T) of ``seconds``."""

    at: float
    seconds: float
    watched: bool = True  # False: the watcher stands still as well, or nobody looks
    stops: bool = True  # False: only the watcher stands still


@dataclass
class Seen:
    suspects: list[float] = field(default_factory=list)
    hangs: list[tuple[float, Finding]] = field(default_factory=list)
    findings: list[tuple[float, Finding]] = field(default_factory=list)
    recording: list[Entry] = field(default_factory=list)


def watch(
    world: World,
    until: float,
    watch: Watch | None = None,
    happens: Happens | None = None,
    unseen: bool = False,
    throttled: Callable[[float], float] = lambda time: 0.0,
) -> Seen:
    """Observes each second, with a loaded machine's jitter, and samples stacks when they are wanted."""
    rng, seen = world.rng, Seen()
    watcher = watch or Watch()
    base = rng.uniform(1e3, 1e6)  # the monotonic clock's
    real, lost = rng.uniform(0, 1), 0.0

    def shown(evidence: RankEvidence) -> RankEvidence:
        times = {
            name: None if (value := getattr(evidence, name)) is None else base + value + _lost(value, happens)
            for name in ("step_at", "beat_at", "section_at")
        }
        return replace(evidence, **times)

    def note(time: float, found: list[Finding]) -> None:
        for finding in found:
            seen.findings.append((time, finding))
            if type(finding).__name__ == "Suspect":
                seen.suspects.append(time)
            elif type(finding).__name__ == "Hang":
                seen.hangs.append((time, finding))

    while real < until:
        simulated, stopped = _simulated(real, happens)
        if not (stopped and happens and not happens.watched) and not _blind(real, happens):
            ranks = [shown(world.rank_evidence(rank, simulated)) for rank in world.ranks]
            if stopped:
                ranks = [replace(rank, states="TTT") for rank in ranks]
            doing = [world.doing(rank, simulated)[0] for rank in world.ranks]
            devices = tuple(
                DeviceEvidence(index, "gpu", do.device + rng.uniform(0, 0.5))
                for index, do in enumerate(doing if world.devices else [])
            )
            lost += sum(do.network for do in doing)
            evidence = Evidence(
                base + real, tuple(ranks), devices, int(5e3 * real + lost), throttled(simulated)
            )
            seen.recording.append(evidence)
            note(real, watcher.observe(evidence))
        following = real + 1.0 + max(0.0, rng.gauss(0.02, 0.05))
        while not stopped and not unseen and (due := _due(watcher, base)) < following:
            late = max(due, real) + rng.uniform(0.05, 0.3)
            stacks = [_sample(world, rank, late, happens) for rank in world.ranks]
            sample = Stacks(base + late, tuple(stacks))
            seen.recording.append(sample)
            note(late, watcher.stacks(sample.at, sample.samples))
        real = following
    return seen


def _due(watch: Watch, base: float) -> float:
    return FOREVER if watch.stacks_due is None else watch.stacks_due - base


def _sample(world: World, rank: Rank, real: float, happens: Happens | None) -> Stack:
    time, _ = _simulated(real, happens)
    if world.rng.random() < 0.02:
        return Stack(rank.number)
    do = world.doing(rank, time)[0]
    return Stack(rank.number, world.rng.choice(do.stacks), world.rng.random() < do.gil, do.collective)


def _lost(simulated: float, happens: Happens | None) -> float:
    return happens.seconds if happens and happens.stops and simulated >= happens.at else 0.0


def _simulated(real: float, happens: Happens | None) -> tuple[float, bool]:
    """What time it is for the ranks, and whether they are stopped."""
    if happens is None or not happens.stops or real < happens.at:
        return real, False
    if real < happens.at + happens.seconds:
        return happens.at, True
    return real - happens.seconds, False


def _blind(real: float, happens: Happens | None) -> bool:
    return happens is not None and not happens.watched and 0 <= real - happens.at < happens.seconds
