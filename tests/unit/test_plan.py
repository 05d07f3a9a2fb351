"""Which node gets which rank."""

from hypothesis import given
from hypothesis import strategies as st

from ma_training.coordination.plan import Candidate, assign, digest

RANKS = st.none() | st.integers(0, 7)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    return [Candidate(f"n{index}", draw(RANKS), draw(RANKS)) for index in range(draw(st.integers(1, 8)))]


@given(candidates(), st.integers(1, 8))
def test_as_many_as_there_may_be_each_once(nodes: list[Candidate], most: int) -> None:
    order = assign(nodes, most)
    assert len(order) == min(len(nodes), most) == len(set(order))


@given(candidates(), st.integers(1, 8))
def test_a_wanted_rank_is_had_by_one_that_wants_it(nodes: list[Candidate], most: int) -> None:
    order = assign(nodes, most)
    by_name = {each.node: each for each in nodes}
    for rank, node in enumerate(order):
        wanting = [each.node for each in nodes if each.wanted == rank]
        assert not wanting or by_name[node].wanted == rank


@given(candidates())
def test_who_had_a_rank_keeps_it_where_no_one_was_given_it(nodes: list[Candidate]) -> None:
    order = assign(nodes, len(nodes))
    for rank, node in enumerate(order):
        wanting = [each for each in nodes if each.wanted == rank]
        had = [each.node for each in nodes if each.wanted is None and each.before == rank]
        assert wanting or not had or node in had


def test_a_spare_gets_the_lost_ones_rank() -> None:
    before = [Candidate("a", 0, 0), Candidate("c", 2, 2), Candidate("spare")]
    assert assign(before, 3) == ["a", "spare", "c"]


def test_a_digest_names_its_attempt_and_its_nodes() -> None:
    assert digest(1, ["a", "b"]) == digest(1, ["a", "b"])
    assert len({digest(1, ["a", "b"]), digest(2, ["a", "b"]), digest(1, ["b", "a"]), digest(1, ["ab"])}) == 4
