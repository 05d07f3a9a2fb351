"""The names, types and places of a state's arrays."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.snapshot import LeafSpec, Schema, SnapshotError
from ma_training.snapshot.leaves import ALIGNMENT, ITEM_SIZES

LEAVES = st.builds(
    LeafSpec,
    st.text(min_size=1, max_size=20),
    st.sampled_from(sorted(ITEM_SIZES)),
    st.lists(st.integers(0, 50), max_size=4).map(tuple),
)
SCHEMAS = st.lists(LEAVES, max_size=8, unique_by=lambda leaf: leaf.name).map(lambda x: Schema(tuple(x)))


@given(SCHEMAS)
def test_a_schema_comes_back(schema: Schema) -> None:
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert (again.digest, again.offsets) == (schema.digest, schema.offsets)


@given(SCHEMAS)
def test_leaves_lie_apart_and_aligned(schema: Schema) -> None:
    places = [schema.place(leaf.name) for leaf in schema.leaves]
    assert all(
        start % ALIGNMENT == 0 and end - start == leaf.nbytes
        for (start, end), leaf in zip(places, schema.leaves, strict=True)
    )
    assert all(one[1] <= other[0] for one, other in pairwise(places))
    assert all(end <= schema.data_bytes for _, end in places)


@given(SCHEMAS, SCHEMAS)
def test_a_digest_is_of_one_schema(one: Schema, other: Schema) -> None:
    assert (one.digest == other.digest) == (one == other)


def test_a_digest_is_the_same_tomorrow() -> None:
    schema = Schema((LeafSpec("model/layer1.weight", "BF16", (3, 4)), LeafSpec("step", "I64", ())))
    assert schema.to_json() == '{"leaves":[["model/layer1.weight","BF16",[3,4]],["step","I64",[]]]}'
    assert schema.digest.startswith("59d6212a57ec81be")


def test_sizes() -> None:
    assert LeafSpec("a", "F64", ()).nbytes == 8
    assert LeafSpec("a", "BF16", (3, 5)).nbytes == 30
    assert LeafSpec("a", "F32", (7, 0)).nbytes == 0
    assert Schema(()).data_bytes == 0
    assert Schema((LeafSpec("a", "U8", (65,)), LeafSpec("b", "U8", (1,)))).offsets == (0, 128)


@pytest.mark.parametrize(
    ("leaf", "complaint"),
    [
        (["", "F32", []], "a leaf's name is ''"),
        (["a", "F31", []], "leaf 'a': type 'F31' is none of F64, F32"),
        (["a", "F32", [-1]], r"leaf 'a': shape \(-1,\) is not of whole numbers"),
        (["a", "F32", [1.5]], "leaf 'a': shape"),
        (["a", "F32", [True]], "leaf 'a': shape"),
        (["a", "F32", [1 << 50]], "281474976710656 are the most"),
        (["a", "F32", 3], r"leaf 1 is \['a', 'F32', 3\], not a name"),
        (["a", 3, []], "leaf 1 is"),
        (["a", "F32"], "leaf 1 is"),
        ("a", "leaf 1 is 'a'"),
        (["first", "F32", []], "two leaves have the name 'first'"),
    ],
)
def test_what_is_no_leaf(leaf: Any, complaint: str) -> None:
    with pytest.raises(SnapshotError, match=complaint):
        Schema.from_json(json.dumps({"leaves": [["first", "F32", []], leaf]}))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"leaves": {}}', b"\xff", "[" * 100_000])
def test_what_is_no_schema(text: str | bytes) -> None:
    with pytest.raises(SnapshotError, match="a schema"):
        Schema.from_json(text)


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=4))
)
def test_no_other_error_than_ours(rows: Any) -> None:
    text = json.dumps({"leaves": rows})
    try:
        found = Schema.from_json(text)
    except SnapshotError:
        return
    assert Schema.from_json(found.to_json()) == found


def test_a_name_that_it_has_not() -> None:
    with pytest.raises(SnapshotError, match="no leaf 'b' among the 1"):
        Schema((LeafSpec("a", "U8", (1,)),)).place("b")
