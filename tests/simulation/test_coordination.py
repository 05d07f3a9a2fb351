"""The coordination's state machines among simulated machines, links and workers that fail.

A seed that fails is added to KNOWN. ``SOAK=1`` runs a hundred times as many.
"""

import os

import pytest

from .faults import Faults, scenario_of
from .world import World

SEEDS = 100_000 if os.environ.get("SOAK") else 1_000
BLOCK = SEEDS // 20
KNOWN = (
    140,
    395,
    631,
    801,
    2124,
    2929,
    3350,
    3779,
    3933,
    3964,
    4134,
    4759,
    11185,
    11699,
    11974,
    13346,
    19236,
)


def run(seed: int) -> World:
    world = World(f"run {seed}", scenario_of(seed))
    Faults(world)
    try:
        world.run()
    except AssertionError as error:
        error.add_note(f"seed {seed}: {world.scenario}\n{world.describe()}")
        raise
    return world


@pytest.mark.timeout(3600 if os.environ.get("SOAK") else 120)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_faults(first: int) -> None:
    attempts = [run(seed).attempts for seed in range(first, first + BLOCK)]
    assert max(attempts) > 1  # or nothing was disturbed


@pytest.mark.parametrize("seed", KNOWN)
def test_seeds_that_failed_once(seed: int) -> None:
    run(seed)
