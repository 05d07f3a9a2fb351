"""What a state is made of comes back from JSON as it was."""

import json
import math
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.state.arrays import Raw
from ma_training.state.errors import StateError
from ma_training.state.flat import Flat, build, flatten

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.binary(max_size=6)
RAWS = st.binary(max_size=9).map(lambda data: Raw("U8", (len(data),), data))
KEYS = PLAIN | st.tuples(PLAIN, PLAIN) | st.sampled_from(["$leaf", "$dict", "$", "a/b", ""])


def _grown(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(values, max_size=3)
        | st.lists(values, max_size=3).map(tuple)
        | st.dictionaries(KEYS, values, max_size=3)
        | st.dictionaries(KEYS, values, max_size=3).map(OrderedDict)
    )


VALUES = st.recursive(PLAIN | RAWS | st.sets(st.integers(), max_size=3), _grown, max_leaves=12)


def back(flat: Flat) -> Any:
    found = {spec.name: (spec, memoryview(value.data)) for spec, value in flat.leaves}
    assert len(found) == len(flat.leaves)
    return build(json.loads(flat.text), found)


def same(one: Any, other: Any) -> bool:
    """Of one type, with NaN equal to NaN and -0.0 unlike 0.0, in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            math.copysign(1, one) == math.copysign(1, other) and one == other
        )
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    assert same(back(flatten(value, "shared/x")), value)


@pytest.mark.parametrize(
    "value",
    [
        Counter({"a": 2, 3: 1}),
        frozenset({1, 2}),
        range(3, 9, 2),
        list(range(100)),
        [0, 1, 2, 3, 4, 5, 6, 7.0],
        [True, *range(2, 12)],
        {1: "int", "1": "text", True and 2: Raw("U8", (1,), b"x"), "2": Raw("U8", (1,), b"y")},
        2**70,
        "\ud800",
    ],
)
def test_odd_values(value: Any) -> None:
    assert same(back(flatten(value, "x")), value)


def test_numbers_that_count_up_are_not_written_out() -> None:
    assert len(flatten(list(range(5000)), "x").text) < 30


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"a": [1, object()]}, "x/a/1 is a builtins.object"),
        ({"f": len}, "x/f is a builtins.builtin_function_or_method"),
        (defaultdict(int), "x is a collections.defaultdict"),
        ({"a": type("Text", (str,), {})("b")}, "x/a is a .*Text"),
    ],
)
def test_what_would_need_a_pickle_is_named(value: Any, what: str) -> None:
    with pytest.raises(StateError, match=what):
        flatten(value, "x")


def test_a_missing_array_is_named() -> None:
    flat = flatten({"a": Raw("U8", (1,), b"x")}, "shared/x")
    with pytest.raises(StateError, match="shared/x/a"):
        build(json.loads(flat.text), {})
