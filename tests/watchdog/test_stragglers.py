"""Who is slower than its peers, and who only varies."""

import os
import random
from collections.abc import Callable

import pytest

from ma_training.watchdog import Evidence, RankEvidence, Straggler
from ma_training.watchdog.stragglers import Stragglers

from .kinds import Run, start, world
from .world import Collective, Mark, Program, World, busy, watch

SEEDS = 500 if os.environ.get("SOAK") else 12


def training(
    run: Run, slower: Callable[[int, float], float], seconds: float = 150.0, sync: bool = True
) -> World:
    """Each rank's steps take ``slower(rank, time)`` times as long as usual."""

    def program(number: int) -> Program:
        rank = random.Random(run.seed * 1000 + number)
        yield from start(run, rank)
        spent = 0.0
        while spent < seconds:
            compute = run.step * rank.uniform(0.8, 1.2) * slower(number, spent)
            yield busy(compute, 1.0)
            if sync:
                yield Collective()
            yield Mark(steps=1)
            spent += compute

    return world(run, program)


def found(made: World, seconds: float) -> list[Straggler]:
    return [finding for _, finding in watch(made, seconds).findings if isinstance(finding, Straggler)]


@pytest.mark.parametrize("sync", [True, False])
def test_noise_makes_no_straggler(sync: bool) -> None:
    for seed in range(SEEDS):
        run = Run(seed).several()
        run.step = max(run.step, 0.2)
        made = training(run, lambda rank, time: 1.0, sync=sync)
        assert not found(made, 150.0), seed


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_who_is_slow_all_the_time_is_found(sync: bool, factor: float) -> None:
    for seed in range(6):
        run = Run(seed).several()
        run.step = min(max(run.step, 0.2), 1.0)
        made = training(run, lambda rank, time: factor if rank == 1 else 1.0, sync=sync)
        stragglers = found(made, 150.0)
        assert [(one.rank, one.phase, one.over) for one in stragglers] == [(1, "train", False)], seed
        assert 0.6 * factor < stragglers[0].factor < 1.7 * factor


def test_who_catches_up_is_none_any_more() -> None:
    run = Run(2).several()
    run.step = 0.5
    made = training(run, lambda rank, time: 3.0 if rank == 1 and time < 200 else 1.0, 600.0, sync=False)
    assert [one.over for one in found(made, 600.0)] == [False, True]


def late(seconds: float, until: int = 200) -> list[Straggler]:
    """Of NCCL, say: rank 2 dispatches each step, of one second, so much later than three others."""
    stragglers, said = Stragglers(), []
    for at in range(1, until):
        ranks = [
            RankEvidence(number, 2, at, at + (seconds if number == 2 else 0.0), states="R")
            for number in range(4)
        ]
        said += stragglers.observe(Evidence(at + 0.9, tuple(ranks)))
    return said


def test_who_does_the_same_step_later_is_found() -> None:
    (one,) = late(0.5)
    assert (one.rank, one.factor) == (2, pytest.approx(2.0))
    assert not late(0.2)


def sections(*seconds: float, times: int = 4) -> list[Straggler]:
    stragglers, said, at = Stragglers(), [], 0.0
    for _ in range(times):
        began = at
        while at < began + max(seconds) + 2:
            at += 1.0
            inside = [at - began < length for length in seconds]
            ranks = [
                RankEvidence(rank, 2, 10, section="eval" if there else "", section_at=began if there else at)
                for rank, there in enumerate(inside)
            ]
            said += stragglers.observe(Evidence(at, tuple(ranks)))
    return said


def test_a_section_that_takes_one_rank_longer() -> None:
    (one,) = sections(10.0, 10.0, 20.0)
    assert (one.rank, one.phase, one.factor) == (2, "eval", pytest.approx(2.0))


def test_sections_that_say_nothing() -> None:
    assert not sections(10.0, 10.0, 12.0)  # little
    assert not sections(1.0, 1.0, 2.0)  # short: read once a second
    assert not sections(10.0, 10.0, 20.0, times=2)  # not again and again
    assert not sections(20.0)  # no peers


def test_a_pause_of_one_rank_alone_is_no_slowness() -> None:
    def program(number: int) -> Program:
        for _ in range(8):
            for _ in range(20):
                yield busy(1.0)
                yield Collective()
                yield Mark(steps=1, phase=2)
            if number == 0:
                yield busy(25.0)
            yield Collective("barrier")

    assert not found(world(Run(0).several(), program), 350.0)
