import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.watchdog import Learned
from ma_training.watchdog.figures import ENOUGH_STEPS, FACTOR, FLOOR, SLOW_FLOOR

SECONDS = st.floats(0.001, 1e4)


def learned(*seconds: float, phase: str = "train") -> Learned:
    known = Learned()
    for one in seconds:
        known.add(phase, one)
    return known


@pytest.mark.parametrize(
    ("phase", "count", "enough"),
    [
        ("train", ENOUGH_STEPS - 1, False),
        ("train", ENOUGH_STEPS, True),
        ("eval", 2, False),
        ("eval", 3, True),
        ("start", 1, True),
        ("end", 1, True),
        ("unknown", 100, False),
    ],
)
def test_how_much_is_enough(phase: str, count: int, enough: bool) -> None:
    assert (learned(*[1.0] * count, phase=phase).limit(phase) is not None) == enough


@given(st.lists(SECONDS, min_size=ENOUGH_STEPS, max_size=50))
def test_the_limit_is_that_of_the_issue(seconds: list[float]) -> None:
    longest = sorted(seconds)[-2]
    assert learned(*seconds).limit("train") == pytest.approx(max(FLOOR, FACTOR * longest))


@given(SECONDS, st.floats(0, 1e4))
def test_one_outlier_is_not_usual_and_two_are(usual: float, more: float) -> None:
    outlier = usual + more
    known = learned(*[usual] * ENOUGH_STEPS, outlier)
    assert known.usual_longest("train") == usual
    known.add("train", outlier)
    assert known.usual_longest("train") == outlier


def test_what_is_seen_once_an_attempt_has_time() -> None:
    assert learned(2.0, phase="start").limit("start") == SLOW_FLOOR
    assert learned(100.0, phase="start").limit("start") == 300.0


def test_growing_steps_take_their_limit_with_them() -> None:
    known, step = learned(*[2.0] * 20), 2.0
    for _ in range(100):
        step *= 1.4
        limit = known.limit("train")
        assert limit is not None and step < limit
        known.add("train", step)


def test_many_steps_between_two_looks_and_a_pause_in_one() -> None:
    known = learned(*[0.1] * 20)
    for _ in range(2):
        known.add("train", 29 * 0.1 + 4.0, 30)
    assert known.usual_longest("train") == pytest.approx(4.0, rel=0.1)


def test_many_steps_between_two_looks() -> None:
    known = Learned()
    for _ in range(5):
        known.add("train", 1.0, 100)
    assert known.usual_longest("train") == pytest.approx(0.01)


def test_the_users_own_limit_is_for_every_phase() -> None:
    known = Learned(limit=600.0)
    assert known.limit("anything") == 600.0
    assert known.reason("anything") == "as you said"


@given(st.dictionaries(st.text(max_size=5), st.lists(SECONDS, max_size=20), max_size=4))
def test_goes_through_json(phases: dict[str, list[float]]) -> None:
    known = Learned()
    for phase, seconds in phases.items():
        for one in seconds:
            known.add(phase, one)
    again = Learned.from_dict(json.loads(json.dumps(known.as_dict())))
    assert again.as_dict() == known.as_dict()
    assert all(again.limit(phase) == known.limit(phase) for phase in phases)


GOOD = {"count": 1, "longest": 1.0, "second": 1.0, "typical": 1.0}


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        GOOD | {"count": -1},
        GOOD | {"count": "x"},
        GOOD | {"longest": float("nan")},
        GOOD | {"second": float("inf")},
        GOOD | {"typical": -1.0},
        {"count": 1, "longest": 1.0},
    ],
)
def test_what_is_no_record_is_refused_by_name(fields: object) -> None:
    with pytest.raises(ValueError, match="learned durations of 'eval': found"):
        Learned.from_dict({"eval": fields})
