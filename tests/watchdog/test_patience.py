"""The table in patience.py, line by line."""

from dataclasses import replace
from math import inf

import pytest

from ma_training.watchdog import Frame, RankEvidence, Stack
from ma_training.watchdog import figures as fig
from ma_training.watchdog.activity import Activity
from ma_training.watchdog.patience import Surroundings, standing
from ma_training.watchdog.places import Place

LONG = 200  # seconds that it has stood
CALM = Surroundings(now=LONG, since=LONG - 30.0, limit=20.0, known=True, network=False)
UNKNOWN = replace(CALM, known=False)
HERE = Stack(0, (Frame("f", "/job/train.py", 3),), False)
COLLECTIVE = replace(HERE, collective="all_reduce")
SPIN = replace(HERE, owns_gil=True)
UNCLEAR = replace(HERE, owns_gil=None)
FULL = replace(CALM, level=100.0)


def kind(
    stack: Stack | None, around: Surroundings = CALM, moves: bool = False, **rates: float
) -> tuple[str, float]:
    """Of a rank that has stood for LONG: rates are those of every second, ``states`` a letter's code."""
    rank = RankEvidence(0, states="SS")
    activity, place = Activity(rank, 0.0, 0.0), Place()
    for at in range(1, LONG + 1):
        activity.update(
            replace(
                rank,
                cpu=rates.get("cpu", 0.0) * at,
                io=int(rates.get("io", 0.0) * at),
                log=int(rates.get("log", 0.0) * at),
                states=chr(int(rates.get("states", ord("S")))) * 2,
            ),
            at,
            at,
        )
        if stack and at > LONG - 20:
            seen = replace(stack, frames=(Frame("f", "/job/train.py", at % 2),)) if moves else stack
            place.see(seen, at)
    stands = standing(activity, place, around)
    return stands.kind, stands.patience


BUSY = {"cpu": 0.9}


@pytest.mark.parametrize(
    ("stack", "around", "rates", "expected"),
    [
        (HERE, CALM, {}, ("still", fig.CONFIRM)),
        (HERE, UNKNOWN, {}, ("still", fig.NOTHING_KNOWN)),
        (COLLECTIVE, CALM, {}, ("waits", fig.CONFIRM)),
        (COLLECTIVE, CALM, BUSY, ("waits", fig.CONFIRM)),  # a spin is no sign of life
        (COLLECTIVE, FULL, BUSY, ("waits", fig.CONFIRM)),  # nor is a device that spins
        (COLLECTIVE, replace(CALM, network=True), {}, ("waits", fig.CONFIRM)),
        (COLLECTIVE, UNKNOWN, BUSY, ("waits", fig.FIRST_COLLECTIVE)),
        (SPIN, CALM, BUSY, ("spins", fig.CONFIRM)),
        (SPIN, UNKNOWN, BUSY, ("spins", fig.LONG_CALL)),
        (HERE, CALM, BUSY, ("calls", fig.LONG_CALL)),
        (UNCLEAR, CALM, BUSY, ("calls", fig.LONG_CALL)),  # faulthandler does not say who has the GIL
        (HERE, FULL, BUSY, ("calls", 100.0)),
        (HERE, FULL, {}, ("still", 100.0)),
        (HERE, replace(CALM, level=40.0), {}, ("still", fig.LONG_CALL)),
        (HERE, replace(CALM, level=1.0), {}, ("still", fig.CONFIRM)),
        (HERE, CALM, {"log": 9.0}, ("still", fig.LOG_MOVES)),
        (HERE, CALM, {"states": ord("D")}, ("still", fig.DISK)),
        (HERE, replace(CALM, network=True), {}, ("still", fig.NETWORK_MOVES)),
        (HERE, CALM, {"io": 1e6}, ("still", fig.IO_MOVES)),
        (HERE, CALM, {"io": 1e4}, ("still", fig.CONFIRM)),  # a monitor that reads /proc
        (HERE, CALM, {"cpu": 0.03}, ("still", fig.CONFIRM)),
        (HERE, CALM, {"cpu": 0.0, "states": ord("R")}, ("calls", fig.LONG_CALL)),  # runnable, and gets no CPU
        (HERE, CALM, {"states": ord("T")}, ("stopped", fig.CONFIRM)),
        (None, CALM, {}, ("unseen", fig.UNSEEN)),
        (None, CALM, BUSY, ("moves", inf)),
        (HERE, replace(UNKNOWN, device=inf), {}, ("still", inf)),
        (HERE, replace(UNKNOWN, rest="at rest"), {}, ("rests", 0.0)),
        (HERE, replace(CALM, rest="at rest"), {}, ("still", fig.CONFIRM)),  # not where steps are counted
        (HERE, replace(UNKNOWN, rest="at rest"), BUSY, ("calls", fig.COPIES)),
    ],
)
def test_table(
    stack: Stack | None, around: Surroundings, rates: dict[str, float], expected: tuple[str, float]
) -> None:
    assert kind(stack, around, **rates) == expected


def test_another_place_each_time() -> None:
    assert kind(HERE, moves=True) == ("polls", fig.NOTHING_KNOWN)
    assert kind(HERE, moves=True, cpu=0.9) == ("moves", inf)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [(HERE, 20.0), (COLLECTIVE, 20.0), (SPIN, fig.LONG_CALL)],
)
def test_who_was_elsewhere_when_it_was_suspected(stack: Stack, expected: float) -> None:
    place = Place()
    place.see(replace(HERE, frames=(Frame("g", "/job/train.py", 9),)), LONG - 30)
    for at in range(LONG - 10, LONG):
        place.see(stack, at)
    activity = Activity(RankEvidence(0, states="SS"), 0.0, 0.0)
    activity.update(RankEvidence(0, cpu=LONG if stack is SPIN else 0.0, states="SS"), LONG, LONG)
    assert standing(activity, place, CALM).patience == expected


def test_native_frames_may_come_and_go() -> None:
    place = Place()
    for at in range(fig.SAMPLES):
        native = (Frame("epoll_wait", "libc.so.6", 0),) if at % 2 else ()
        place.see(replace(COLLECTIVE, frames=(*native, *HERE.frames)), at)
    assert place.still()


def test_a_sample_that_failed_says_nothing() -> None:
    place = Place()
    for at in range(2 * fig.SAMPLES):
        place.see(HERE if at % 2 else Stack(0), at)
    assert place.still() and place.since == 1
