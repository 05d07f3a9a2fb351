from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.coordination.restart_policy import (
    FREE_RETRIES,
    LONGEST_DELAY,
    SHORT_ATTEMPT,
    Failure,
    GiveUp,
    Restart,
    decide,
)

SHORT, LONG = 2.0, SHORT_ATTEMPT
TAKEN = Failure("port taken", SHORT, 0, free=True)


def stuck(reason: GiveUp | Restart) -> bool:
    return isinstance(reason, GiveUp) and "the same failure" in reason.reason


def test_the_first_restart_comes_at_once() -> None:
    assert decide([Failure("a", SHORT, 0)], 3) == Restart(0.0, 1)


def test_no_restarts_are_made_where_none_are_allowed() -> None:
    decision = decide([Failure("a", LONG, 100)], 0)
    assert isinstance(decision, GiveUp)
    assert "--max-restarts 0" in decision.reason


def test_the_last_restart_allowed_is_made_and_then_no_more() -> None:
    failures = [Failure("a", LONG, steps) for steps in (10, 20, 30)]
    assert decide(failures[:2], 2) == Restart(0.0, 2)
    decision = decide(failures, 2)
    assert isinstance(decision, GiveUp)
    assert "all 2 restarts are used up" in decision.reason


def test_bad_luck_with_a_port_costs_nothing_even_where_no_restart_is_allowed() -> None:
    assert decide([TAKEN], 0) == Restart(0.0, 0)
    assert decide([Failure("a", LONG, 10), TAKEN], 1) == Restart(0.0, 1)


def test_bad_luck_is_free_three_times_only() -> None:
    assert isinstance(decide([TAKEN] * FREE_RETRIES, 0), Restart)
    assert isinstance(decide([TAKEN] * (FREE_RETRIES + 1), 0), GiveUp)


def test_endless_bad_luck_uses_up_the_restarts() -> None:
    assert isinstance(decide([TAKEN] * (FREE_RETRIES + 4), 3), GiveUp)


@pytest.mark.parametrize(
    ("before", "last", "words"),
    [
        (Failure("a", SHORT, 0), Failure("a", LONG, 0), "before the first step"),
        (Failure("a", LONG, 700), Failure("a", LONG, 700), "both after 700 steps"),
        (Failure("a", 1.0), Failure("a", 2.5), "both within 2.5 s"),
    ],
)
def test_the_same_failure_twice_without_progress_gives_up(before: Failure, last: Failure, words: str) -> None:
    decision = decide([before, last], 10)
    assert isinstance(decision, GiveUp)
    assert words in decision.reason


@pytest.mark.parametrize(
    ("before", "last"),
    [
        pytest.param(Failure("a", SHORT, 0), Failure("b", SHORT, 0), id="another cause"),
        pytest.param(Failure("a", LONG, 700), Failure("a", LONG, 701), id="one step more"),
        pytest.param(Failure("a", SHORT), Failure("a", LONG), id="a long attempt, steps unknown"),
        pytest.param(Failure("a", LONG), Failure("a", SHORT), id="a long attempt before"),
        pytest.param(
            Failure("a", SHORT, external=True), Failure("a", SHORT, external=True), id="killed from outside"
        ),
        pytest.param(Failure("a", SHORT, None), Failure("a", LONG, 5), id="steps unknown at first"),
        pytest.param(TAKEN, Failure("port taken", SHORT, 0), id="bad luck before"),
    ],
)
def test_another_attempt_is_made(before: Failure, last: Failure) -> None:
    assert isinstance(decide([before, last], 10), Restart)


def test_a_failure_in_between_makes_it_another_story() -> None:
    a, b = Failure("a", SHORT, 0), Failure("b", SHORT, 0)
    assert isinstance(decide([a, b, a], 10), Restart)


def test_useless_attempts_come_later_and_later() -> None:
    useless = [Failure(str(number), SHORT, 0) for number in range(9)]
    delays = [restart_after(useless[:count]).delay for count in range(1, 10)]
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_progress_starts_the_delays_anew() -> None:
    useless = [Failure(str(number), SHORT, 0) for number in range(5)]
    assert restart_after([*useless, Failure("a", SHORT, 1)]).delay == 0
    assert restart_after([*useless, Failure("a", SHORT, 1), Failure("b", SHORT, 0)]).delay == 0


def test_the_delay_stays_the_longest_however_long_it_goes_on() -> None:
    useless = [Failure(str(number), SHORT, 0) for number in range(1100)]
    assert restart_after(useless, 2000).delay == LONGEST_DELAY


def restart_after(failures: list[Failure], max_restarts: int = 100) -> Restart:
    decision = decide(failures, max_restarts)
    assert isinstance(decision, Restart)
    return decision


failures = st.builds(
    Failure,
    cause=st.sampled_from("abc"),
    seconds=st.sampled_from([0.5, SHORT, LONG - 1, LONG, 10 * LONG]),
    steps=st.none() | st.integers(0, 3),
    external=st.booleans(),
    free=st.booleans(),
)
histories = st.lists(failures, min_size=1, max_size=30)
budgets = st.integers(0, 8)


@given(histories, budgets)
def test_no_history_gets_more_restarts_than_allowed(history: list[Failure], budget: int) -> None:
    restarts = free = 0
    for count in range(1, len(history) + 1):
        if isinstance(decide(history[:count], budget), GiveUp):
            break
        if history[count - 1].free and free < FREE_RETRIES:
            free += 1
        else:
            restarts += 1
    assert restarts <= budget


@given(histories, budgets)
def test_a_restart_never_costs_more_than_it_says(history: list[Failure], budget: int) -> None:
    before = 0
    for count in range(1, len(history) + 1):
        decision = decide(history[:count], budget)
        if isinstance(decision, GiveUp):
            break
        assert before <= decision.number <= min(before + 1, budget)
        if not history[count - 1].free:
            assert decision.number == before + 1
        before = decision.number


@given(failures, budgets)
def test_the_first_delay_is_none(failure: Failure, budget: int) -> None:
    decision = decide([failure], budget)
    assert isinstance(decision, GiveUp) or decision.delay == 0


@given(histories)
def test_no_delay_is_above_the_longest(history: list[Failure]) -> None:
    decision = decide(history, len(history))
    assert isinstance(decision, GiveUp) or 0 <= decision.delay <= LONGEST_DELAY


@given(histories, st.sampled_from("abc"), st.booleans(), st.booleans())
def test_two_equal_failures_before_the_first_step_give_up(
    history: list[Failure], cause: str, first: bool, second: bool
) -> None:
    twice = [Failure(cause, SHORT, 0, external) for external in (first, second)]
    assert isinstance(decide([*history, *twice], 100), GiveUp)


@given(histories, budgets)
def test_what_differs_is_never_called_the_same(history: list[Failure], budget: int) -> None:
    different = [Failure(f"{number}", *rest(failure)) for number, failure in enumerate(history)]
    assert not any(stuck(decide(different[:count], budget)) for count in range(1, len(different) + 1))


@given(histories)
def test_only_equal_causes_are_called_the_same(history: list[Failure]) -> None:
    for before, last in pairwise(history):
        if stuck(decide([before, last], 10)):
            assert before.cause == last.cause
            assert not before.free and not last.free


def rest(failure: Failure) -> tuple[float, int | None, bool, bool]:
    return failure.seconds, failure.steps, failure.external, failure.free


def hang(steps: int | None, seconds: float = SHORT) -> Failure:
    return Failure("hang", seconds, steps, hang=True)


def test_the_third_hang_without_progress_is_the_last() -> None:
    assert isinstance(decide([hang(7)] * 2, 5), Restart)
    decision = decide([hang(7)] * 3, 5)
    assert isinstance(decision, GiveUp)
    assert decision.reason == "3 hangs in a row without progress"


@pytest.mark.parametrize(
    "failures",
    [
        [hang(7), hang(7), hang(8)],
        [hang(7), Failure("a", SHORT, 7), hang(7)],
        [hang(7), hang(8), hang(8)],
        [hang(None), hang(None), hang(None, LONG)],
    ],
)
def test_hangs_with_progress_between_them_are_not_the_last(failures: list[Failure]) -> None:
    assert isinstance(decide(failures, 5), Restart)


@pytest.mark.parametrize("steps", [0, None])
def test_hangs_before_the_first_step_are_without_progress(steps: int | None) -> None:
    assert isinstance(decide([hang(steps)] * 3, 5), GiveUp)


def test_a_hang_that_is_to_be_the_last_is() -> None:
    decision = decide([Failure("hang", SHORT, 7, hang=True, final=True)], 5)
    assert isinstance(decision, GiveUp)
    assert "--on-hang stop" in decision.reason
