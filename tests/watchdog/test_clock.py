import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.watchdog import Evidence
from ma_training.watchdog.clock import JobClock
from ma_training.watchdog.figures import GAP, INTERVAL, THROTTLED_PACE


def clock(*moments: tuple[float, float, bool]) -> JobClock:
    """After observations at (seconds, throttled seconds, paused)."""
    made = JobClock()
    for at, throttled, paused in moments:
        made.advance(Evidence(at, (), throttled=throttled), paused)
    return made


@pytest.mark.parametrize(
    ("moments", "now"),
    [
        ([(100, 0, False)], 0.0),
        ([(100, 0, False), (101, 0, False), (102.5, 0, False)], 2.5),
        ([(100, 0, False), (101, 0, True)], 0.0),  # the whole job stands
        ([(100, 0, False), (100 + GAP, 0, False)], GAP),
        ([(100, 0, False), (100 + GAP + 0.1, 0, False)], INTERVAL),  # the watcher stood
        ([(100, 0, False), (90, 0, False), (101, 0, False)], 1.0),  # the past says nothing
        ([(100, 50, False), (101, 50.5, False)], 0.5),
        ([(100, 0, False), (101, 30, False)], THROTTLED_PACE),  # summed over CPUs
        ([(100, 50, False), (101, 0, False)], 1.0),  # another cgroup
    ],
)
def test_what_counts(moments: list[tuple[float, float, bool]], now: float) -> None:
    assert clock(*moments).now == pytest.approx(now)


@given(st.lists(st.tuples(st.floats(-5, 100), st.floats(0, 200), st.booleans()), max_size=30))
def test_never_faster_than_the_wall_and_never_back(moves: list[tuple[float, float, bool]]) -> None:
    made, at, throttled, before = JobClock(), 50.0, 0.0, 0.0
    made.advance(Evidence(at, ()), False)
    for passed, more, paused in moves:
        at, throttled = at + passed, throttled + more
        said = made.advance(Evidence(at, (), throttled=throttled), paused)
        assert before <= made.now <= before + max(said, 0.0) + 1e-9
        before = made.now


def test_moments_between_two_observations() -> None:
    made = clock((100, 0, False), (102, 1, False))
    assert made.when(101) == pytest.approx(0.5)
    assert made.when(102.5) == made.now == 1.0
    assert made.when(99) == 0.0
    assert made.when(None) == made.now
    assert made.later(102.5) == pytest.approx(1.5)
    assert made.later(110) == made.now + GAP
