"""Which nodes measure the network, and which one is named: pure."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from ma_training.precheck.pairs import (
    Pair,
    first_round,
    second_round,
    slow_links,
    slow_nodes,
    slow_pairs,
)


def _measure(
    nodes: list[int], slow: set[int], links: frozenset[Pair] = frozenset()
) -> dict[Pair, float | None]:
    """Both rounds, of a network in which these nodes and links have a tenth of the speed."""

    def rate(pair: Pair) -> float:
        bad = slow & set(pair) or any(set(pair) == set(link) for link in links)
        return 10.0 if bad else 100.0

    rates: dict[Pair, float | None] = {pair: rate(pair) for wave in first_round(nodes) for pair in wave}
    second = {pair: rate(pair) for wave in second_round(nodes, rates) for pair in wave}
    return {**rates, **second}


@given(st.integers(2, 40))
def test_everybody_is_in_the_first_round_and_in_each_wave_once(count: int) -> None:
    waves = first_round(list(range(count)))
    assert {node for wave in waves for pair in wave for node in pair} == set(range(count))
    for wave in waves:
        members = [node for pair in wave for node in pair]
        assert len(members) == len(set(members))


@given(st.integers(3, 40), st.data())
def test_one_slow_node_is_named_and_no_other(count: int, data: st.DataObject) -> None:
    slow = data.draw(st.integers(0, count - 1))
    assert slow_nodes(_measure(list(range(count)), {slow})) == [slow]


@given(st.integers(6, 40), st.data())
def test_several_slow_nodes_are_named(count: int, data: st.DataObject) -> None:
    """Fewer than a third: of pairs more than a third are fast, so that each suspect has a sound partner."""
    slow = data.draw(st.sets(st.integers(0, count - 1), max_size=(count - 1) // 4))
    rates = _measure(list(range(count)), slow)
    assert set(slow_nodes(rates)) == slow
    for wave in second_round(list(range(count)), {p: r for p, r in rates.items() if p in _first(count)}):
        members = [node for pair in wave for node in pair]
        assert len(members) == len(set(members))


def _first(count: int) -> set[Pair]:
    return {pair for wave in first_round(list(range(count))) for pair in wave}


def test_a_slow_way_between_two_good_nodes_is_told_apart() -> None:
    rates = _measure(list(range(6)), set(), frozenset({(2, 3)}))
    assert slow_nodes(rates) == []
    assert slow_links(rates) == [(2, 3)]


def test_a_node_that_does_not_answer_is_slow() -> None:
    rates: dict[Pair, float | None] = {(0, 1): 100.0, (2, 3): None, (2, 0): None, (3, 1): 90.0}
    assert slow_nodes(rates) == [2]
    assert set(slow_pairs(rates, 2.0)) == {(2, 3), (2, 0)}


def test_of_two_nodes_none_can_be_named() -> None:
    assert slow_nodes({(0, 1): 1.0}) == []
    assert second_round([0, 1], {(0, 1): 1.0}) == []


def test_all_alike() -> None:
    for count in (3, 4, 5, 8):
        rates = _measure(list(range(count)), set())
        assert slow_nodes(rates) == [] and slow_links(rates) == []
        assert set(rates) <= {pair for a, b in combinations(range(count), 2) for pair in ((a, b), (b, a))}
