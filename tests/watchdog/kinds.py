"""What hangs, and what only looks as if it did: programs for `world`, each with figures drawn from a seed."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from .world import (
    ATEXIT,
    FOREVER,
    MAIN,
    Collective,
    Do,
    Happens,
    Mark,
    Program,
    Rank,
    World,
    asleep,
    at,
    busy,
)

END = 45.0  # seconds of ordinary training after what happens


@dataclass
class Run:
    """One drawn run. The event takes place after ``steps`` steps, or after the last epoch."""

    seed: int
    rng: random.Random = field(init=False)
    ranks: int = field(init=False)
    step: float = field(init=False)  # seconds that a rank computes
    noise: float = field(init=False)
    cores: float = field(init=False)
    commits: bool = field(init=False)
    spin: float = 0.0
    until: float = 0.0
    happens: Happens | None = None
    throttled: Callable[[float], float] = lambda time: 0.0
    stretch: Callable[[float], float] = lambda time: 1.0
    began: list[float] = field(default_factory=list)  # when the event began, rank by rank

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.ranks = rng.choice([1, 2, 2, 4, 8])
        self.step = rng.choice([0.08, 0.2, 0.5, 1.0, 2.0]) * rng.uniform(0.8, 1.2)
        self.noise = rng.uniform(0.0, 0.2)
        self.cores = rng.choice([0.3, 1.0, 2.0, 8.0])
        self.commits = rng.random() < 0.5

    @property
    def before(self) -> int:
        """Steps before the event: at least 20, and a quarter of a minute."""
        return max(20, int(15 / self.step))

    def several(self) -> "Run":
        self.ranks = max(self.ranks, 2)
        return self


def start(run: Run, rank: random.Random) -> Program:
    yield busy(rank.uniform(1, 8), 0.9, io=5e6)  # imports
    yield Mark(phase=MAIN)
    yield busy(rank.uniform(0.1, 3), 0.9, io=5e6)
    yield Collective("broadcast", "setup:15")


def steps(
    run: Run, rank: random.Random, count: int, scale: Callable[[int], float] = lambda step: 1.0
) -> Program:
    for number in range(count):
        compute = run.step * scale(number) * rank.uniform(1 - run.noise, 1 + run.noise)
        yield Do(compute * 0.05, io=2e5, stacks=(at("next:41"),))  # the data loader's queue
        yield busy(compute * 0.95, run.cores)
        yield Collective()
        yield Mark(steps=1, beats=int(run.commits), log=30 if number % 10 == 0 else 0)


def after(run: Run, rank: random.Random) -> Program:
    yield from steps(run, rank, max(5, int(END / run.step / 3)))


Event = Callable[[Run, random.Random, int], Program]


def build(run: Run, event: Event, world_of: Callable[[Run], None] = lambda run: None) -> World:
    """Ranks that start, train, meet the event and, if they can, go on."""
    world_of(run)

    def program(number: int) -> Program:
        rank = random.Random(run.seed * 1000 + number)
        yield from start(run, rank)
        yield from steps(run, rank, 3, lambda step: (8.0, 2.0, 1.5)[step])  # warming up
        yield from steps(run, rank, run.before)
        yield from event(run, rank, number)
        yield from after(run, rank)
        yield Mark(phase=ATEXIT)

    return world(run, program)


def world(run: Run, program: Callable[[int], Program]) -> World:
    ranks = [Rank(number, program(number)) for number in range(run.ranks)]
    made = World(ranks, random.Random(run.seed + 1), run.stretch, run.spin)
    made.run(2000.0)
    # What happened to all ranks is seen to its end; who waits for ever is watched for as long as it may take.
    ends = [rank.time for rank in ranks]
    run.until = max(ends) if max(ends) < FOREVER else 0.0
    return made


# --- what looks like a hang ---


def long_eval(run: Run, rank: random.Random, number: int) -> Program:
    """Of all ranks, or of rank 0 alone; in a section, or not."""
    named, alone = run.seed % 2 == 0, run.seed % 3 == 0
    for _ in range(2):
        if named and not (alone and number):
            yield Mark(section="eval")
        if not (alone and number):
            yield busy(random.Random(run.seed).uniform(15, 90) * rank.uniform(0.9, 1.1), 1.0, io=1e4)
            if named:
                yield Mark(section="")
        yield Collective("barrier", "evaluate:50")
        yield from steps(run, rank, 10)


def compiling(run: Run, rank: random.Random, number: int) -> Program:
    """The main thread waits at one place, compilers are its children."""
    yield busy(rank.uniform(1, 5))
    yield Do(random.Random(run.seed).uniform(15, 120), 0.9, 3e5, states="RSSS", stacks=(at("wait:3"),))


def slow_checkpoint(run: Run, rank: random.Random, number: int) -> Program:
    """Bytes for a while, and an fsync in the kernel."""
    draw = random.Random(run.seed)
    for _ in range(2):
        if run.commits:
            yield Mark(section="checkpoint")
        place = (at("write_record:700", "save:30"),)
        yield Do(draw.uniform(5, 40), draw.uniform(0.02, 0.9), 8e7, states="RSS", stacks=place)
        yield Do(draw.uniform(1, 60), 0.01, 0, states="DSS", stacks=(at("fsync:3", "save:31"),))
        if run.commits:
            yield Mark(section="")
        yield from steps(run, rank, 10)


def rank_0_saves(run: Run, rank: random.Random, number: int) -> Program:
    if number == 0:
        yield from slow_checkpoint_alone(run)
    yield Collective("barrier", "save:40")


def slow_checkpoint_alone(run: Run) -> Program:
    draw = random.Random(run.seed)
    if run.commits:
        yield Mark(section="checkpoint")
    place = (at("write_record:700", "save:30"),)
    yield Do(draw.uniform(5, 60), draw.uniform(0.02, 0.9), 8e7, states="RSS", stacks=place)
    yield Do(draw.uniform(1, 60), 0.01, 0, states="DSS", stacks=(at("fsync:3", "save:31"),))
    if run.seed % 2:  # to a store, over the network
        yield Do(draw.uniform(5, 60), 0.03, 0, network=5e6, stacks=(at("sendall:9", "upload:7"),))
    if run.commits:
        yield Mark(section="")


def gc_pause(run: Run, rank: random.Random, number: int) -> Program:
    for _ in range(3):
        yield Do(rank.uniform(1, 7), 1.0, states="RSS", stacks=(at("collect:5"),), gil=1.0)
        yield from steps(run, rank, 5)


def big_copy(run: Run, rank: random.Random, number: int) -> Program:
    """One system call a file: counters move between them."""
    draw = random.Random(run.seed)
    if number == 0:
        for _ in range(draw.randint(3, 12)):
            place = (at("sendfile:100", "copyfile:30"),)
            yield Do(draw.uniform(1, 20), draw.uniform(0.1, 0.6), 0, states="DSS", stacks=place)
            yield Do(0.2, 0.5, 5e9, states="RSS", stacks=(at("copyfile:25"),))
    yield Collective("barrier", "copy:44")


def sleep_between_epochs(run: Run, rank: random.Random, number: int) -> Program:
    pause = random.Random(run.seed).uniform(1, 6.5)
    for _ in range(4):
        yield asleep(pause * rank.uniform(0.95, 1.05), "cool_down:8")
        yield from steps(run, rank, 15)


def bursts(run: Run, rank: random.Random, number: int) -> Program:
    draw = random.Random(run.seed)
    for _ in range(12):
        yield asleep(draw.uniform(0, 5.5), "wait_for_rollouts:8")
        yield from steps(run, rank, draw.randint(1, 6), lambda step: 0.3)


def growing(run: Run, rank: random.Random, number: int) -> Program:
    """By 3 at once, and then on and on."""
    yield from steps(run, rank, 6, lambda step: 3.0)
    yield from steps(run, rank, 30, lambda step: 3.0 * 1.06**step)
    if run.step >= 1:
        yield from steps(run, rank, 2, lambda step: 40.0)


def silent(run: Run, rank: random.Random, number: int) -> Program:
    run.commits = False
    for _ in range(4):
        yield busy(random.Random(run.seed).uniform(5, 25), run.cores, io=0)
        yield Collective()
        yield Mark(steps=1)


def ordinary(run: Run, rank: random.Random, number: int) -> Program:
    yield from steps(run, rank, 20)


def _slow_start(run: Run) -> Callable[[int], Program]:
    def program(number: int) -> Program:
        rank, draw = random.Random(run.seed * 1000 + number), random.Random(run.seed)
        yield from start(run, rank)
        if run.seed % 2:  # another program's compiler, or a download
            yield Do(draw.uniform(60, 280), 0.9, 3e5, states="RSSS", stacks=(at("wait:3"),))
        else:
            yield busy(draw.uniform(60, 280) * rank.uniform(0.9, 1.1), run.cores)
        yield Do(draw.uniform(5, 60), 0.02, 4e5, network=3e6, stacks=(at("recv:3", "download:9"),))
        yield Collective()
        yield Mark(steps=1)
        yield from steps(run, rank, 40)

    return program


def _throttle(run: Run) -> None:
    draw = random.Random(run.seed)
    factor, begins = draw.uniform(2, 6), draw.uniform(20, 40)
    ends = begins + draw.uniform(20, 60)
    run.stretch = lambda time: factor if begins <= time < ends else 1.0
    share = 1 - 1 / factor
    run.throttled = lambda time: share * (min(max(time, begins), ends) - begins)


def _stop(run: Run) -> None:
    draw = random.Random(run.seed)
    run.happens = Happens(draw.uniform(20, 60), draw.uniform(5, 300), watched=run.seed % 2 == 0)


def _blind(run: Run) -> None:
    draw = random.Random(run.seed)
    run.happens = Happens(
        draw.uniform(20, 60), draw.uniform(5, 300), watched=False, stops=draw.random() < 0.5
    )


Maker = Callable[[Run], World]
LOOK_ALIKES: dict[str, Maker] = {
    "long eval": lambda run: build(run, long_eval),
    "compile": lambda run: build(run, compiling),
    "slow checkpoint": lambda run: build(run, slow_checkpoint),
    "slow first step": lambda run: world(run, _slow_start(run)),
    "throttled CPU": lambda run: build(run, lambda *of: _twice(ordinary, *of), _throttle),
    "whole tree stopped and continued": lambda run: build(run, ordinary, _stop),
    "GC pause": lambda run: build(run, gc_pause),
    "big copy": lambda run: build(run.several(), big_copy),
    "sleep between epochs": lambda run: build(run, sleep_between_epochs),
    "bursty steps": lambda run: build(run, bursts),
    "steps growing 3x": lambda run: build(run, growing),
    "silent stdout": lambda run: build(run, silent),
    "rank 0 saving alone": lambda run: build(run.several(), rank_0_saves),
    "clock jump": lambda run: build(run, ordinary, _blind),
}


def _twice(event: Event, run: Run, rank: random.Random, number: int) -> Program:
    for _ in range(3):
        yield from event(run, rank, number)


# --- what hangs ---


def hang(do: Do, victims: Callable[[int], bool] = lambda number: number == 0) -> Event:
    """The victims do this for ever; all others come to the next collective."""

    def event(run: Run, rank: random.Random, number: int) -> Program:
        yield busy(run.step * rank.uniform(0.1, 0.5), run.cores)
        if victims(number):
            yield do
        yield Collective()
        yield Mark(steps=1)

    return event


def everyone(number: int) -> bool:
    return True


def forever(*places: str, **how: object) -> Do:
    return Do(FOREVER, stacks=(at(*places),), **how)  # type: ignore[arg-type]


def skipped(run: Run, rank: random.Random, number: int) -> Program:
    if number == 0:
        yield Collective("barrier", "log_metrics:70")
    yield Collective()


def mismatched(run: Run, rank: random.Random, number: int) -> Program:
    yield forever("all_gather:12", collective="all_gather")


def uneven(run: Run, rank: random.Random, number: int) -> Program:
    """One rank has fewer batches, and waits in what comes after the epoch."""
    if number == 0:
        yield Collective("barrier", "end_of_epoch:95")
    yield from steps(run, rank, 2)
    yield Collective("barrier", "end_of_epoch:95")


def _before_init(run: Run) -> Callable[[int], Program]:
    def program(number: int) -> Program:
        rank = random.Random(run.seed * 1000 + number)
        yield busy(rank.uniform(1, 8), 0.9, io=5e6)
        yield Mark(phase=MAIN)
        if number == 0:
            yield forever("read:3", "load_config:10")
        yield Collective("barrier", "setup:12")

    return program


def _atexit(run: Run) -> Callable[[int], Program]:
    def program(number: int) -> Program:
        rank = random.Random(run.seed * 1000 + number)
        yield from start(run, rank)
        yield from steps(run, rank, 3, lambda step: (8.0, 2.0, 1.5)[step])
        yield from steps(run, rank, run.before)
        yield Mark(phase=ATEXIT)
        if number == run.ranks - 1:
            yield forever("join:12", "shutdown:4")

    return program


def _spin(run: Run) -> None:
    run.spin = 1.0


SHAPES = {
    "sleep": hang(forever("slow:30")),
    "sleep of all ranks": hang(forever("slow:30"), everyone),
    "lock between threads": hang(forever("acquire:3", "log:7")),
    "GIL held in C, asleep": hang(forever("native_sleep:4", gil=1.0)),
    "GIL held in C, busy": hang(forever("native_loop:4", gil=1.0, cpu=1.0, states="RSS")),
    "stuck data-loader worker": hang(forever("select:468", "get:30", states="SSSSS")),
    "SIGSTOP": hang(forever("forward:20", states="TTTT")),
    "read on a dead pipe": hang(forever("read:22", "load:10")),
    "busy loop": hang(forever("spin:5", cpu=1.0, gil=0.97, states="RSS")),
    "polls for ever": hang(Do(FOREVER, 0.02, stacks=(at("poll:5"), at("poll:6"), at("sleep:7", "poll:6")))),
    "blocked log writer": hang(forever("write:9", "print_loss:60")),
    "blackhole": hang(forever("all_reduce:2500", collective="all_reduce", network=400.0), everyone),
    "one rank skips a collective": skipped,
    "mismatched shapes": mismatched,
    "uneven last epoch": uneven,
}
NEEDS_PEERS = {
    "one rank skips a collective",
    "uneven last epoch",
    "mismatched shapes",
    "SIGSTOP",
    "blackhole",
}


def _shape(name: str, spin: bool = False) -> Maker:
    def make(run: Run) -> World:
        if name in NEEDS_PEERS or spin:
            run.several()
        return build(run, SHAPES[name], _spin if spin else lambda run: None)

    return make


HANGS: dict[str, Maker] = {name: _shape(name) for name in SHAPES} | {
    "skipped collective, peers spin": _shape("one rank skips a collective", spin=True),
    "sleep, peers spin": _shape("sleep", spin=True),
    "barrier before init": lambda run: world(run.several(), _before_init(run)),
    "hang in atexit": lambda run: world(run, _atexit(run)),
}
NOTHING_KNOWN = ("barrier before init", "hang in atexit", "polls for ever")


def hung_at(made: World) -> float:
    """When the last rank began to stand for ever."""
    return max(rank.pieces[-1][0] for rank in made.ranks if rank.time >= FOREVER)


def gaps(made: World) -> Iterator[float]:
    """Between the steps of each rank, the first four left out."""
    for rank in made.ranks:
        times = [known.step_at for _, known in rank.marks if known.step_at is not None]
        steps = sorted(set(times))[3:]
        yield from (later - earlier for earlier, later in pairwise(steps))
