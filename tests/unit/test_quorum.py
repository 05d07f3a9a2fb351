"""No two leaders can both have enough nodes."""

from hypothesis import given
from hypothesis import strategies as st

from ma_training.coordination.quorum import Quorum

NODES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


def quorum(plan: list[str], successor: bool) -> Quorum:
    made = Quorum(successor)
    made.settled(0, plan)
    return made


@given(NODES, st.data())
def test_two_halves_are_not_both_enough(plan: list[str], data: st.DataObject) -> None:
    one = data.draw(st.sets(st.sampled_from(plan)))
    other = set(plan) - one
    leader = data.draw(st.booleans())  # the other is a successor in any case: there is one endpoint
    assert not (quorum(plan, not leader).met(one) and quorum(plan, True).met(other))


@given(NODES, NODES, st.data())
def test_a_plan_of_which_some_have_not_heard_does_not_count_alone(
    old: list[str], new: list[str], data: st.DataObject
) -> None:
    """Those who have not may be enough for the plan before it."""
    one = data.draw(st.sets(st.sampled_from("abcdefgh")))
    leader = quorum(old, False)
    leader.planned(new)
    assert not (leader.met(one) and quorum(old, True).met(set(old) - one))
    leader.settled(1, new)
    assert leader.met(one) == quorum(new, False).met(one)


def test_half_is_enough_at_the_endpoint_alone() -> None:
    assert quorum(["a", "b"], successor=False).met({"a"})
    assert not quorum(["a", "b"], successor=True).met({"a"})
    assert quorum(["a", "b", "c"], successor=True).met({"a", "b"})
    assert not quorum(["a", "b", "c"], successor=False).met({"a"})


def test_one_that_has_left_stands_in_no_ones_way() -> None:
    made = quorum(["a", "b", "c", "d"], successor=False)
    assert not made.met({"a"})
    made.account_for("b")
    assert made.met({"a"})
    made.settled(1, ["a", "c", "d"])
    assert not made.met({"a"})


@given(NODES)
def test_without_a_plan_all_is_enough(present: list[str]) -> None:
    assert Quorum(successor=False).met(set(present))
