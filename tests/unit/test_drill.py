"""What a drill compares, and the words for it: no process is started."""

import json
from typing import Any

import pytest

from launchers.cli.drill_digests import Comparison, compare
from launchers.cli.drill_hints import hints
from launchers.cli.drill_verdict import LINES, WIDTH, Resumed, Verdict


def record(
    leaves: dict[str, str] | None = None,
    shared: dict[str, Any] | None = None,
    stamp: dict[str, Any] | None = None,
    begun: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A rank's, whose generators had moved unless ``begun`` has them alike."""
    return {
        "step": 20,
        "bytes": 100,
        "leaves": {"shared/model/w": "a", "shared/optimizer/m": "b", "rank/rng/torch": "c", **(leaves or {})},
        "meta": {
            "stamp": {"step": 20, "epoch": 1, "job": "x", **(stamp or {})},
            "shared": {"optimizer": {"lr": 0.1}, **(shared or {})},
            "rank": {},
        },
        "restored": {"leaves": begun or {}},
    }


def between(one: dict[str, Any], other: dict[str, Any]) -> Comparison:
    return compare({0: one}, {0: other})


def names(comparison: Comparison) -> list[str]:
    return [each.name for each in comparison.differences]


def test_the_same_is_the_same() -> None:
    found = between(record(stamp={"job": "y"}), record())
    assert names(found) == []
    assert (found.arrays, found.values, found.bytes, found.ranks) == (3, 3, 100, 1)
    assert found.components == ("model", "optimizer", "rng")


def test_arrays_and_values_that_differ_are_named() -> None:
    found = between(record(), record({"shared/model/w": "z"}, {"optimizer": {"lr": 0.2}}))
    assert [(each.name, each.is_array) for each in found.differences] == [
        ("model/w", True),
        ("optimizer/lr", False),
    ]
    assert (found.different_arrays, found.different_values) == (1, 1)


def test_each_rank_is_compared_and_named_once() -> None:
    bad = record({"shared/model/w": "z"})
    found = compare({0: record(), 1: record(), 2: record()}, {0: record(), 1: bad, 2: bad})
    (difference,) = found.differences
    assert difference.ranks == (1, 2)
    assert (found.ranks, found.different_arrays, found.arrays) == (3, 2, 9)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (float("nan"), float("nan"), True),
        (1, 1.0, False),
        (1, True, False),
        (0.0, -0.0, False),
        ([1, 2], [1, 2], True),
        (list(range(99)), list(range(98)), False),
        ({}, [], False),
        ({"$leaf": "a"}, {"$leaf": "b"}, True),  # the array has its own digest
        (None, "None", False),
    ],
)
def test_values_are_equal_only_where_they_are_the_same(one: Any, other: Any, same: bool) -> None:
    found = between(record(shared={"extra": {"v": one}}), record(shared={"extra": {"v": other}}))
    assert (names(found) == []) is same


def test_what_only_one_run_has_is_told() -> None:
    found = between(record(), record({"shared/model/late": "x"}))
    (difference,) = found.differences
    assert (difference.name, difference.only_in) == ("model/late", "resumed")
    assert "model/late is part of the resumed run's state alone" in hints(found)[0]


def test_a_generator_that_stands_still_is_not_compared() -> None:
    still = record({"rank/rng/python/1": "p"}, begun={"rank/rng/python/1": "p"})
    other = record({"rank/rng/python/1": "q"}, begun={"rank/rng/python/1": "q"})
    moved = record({"rank/rng/python/1": "q"}, begun={"rank/rng/python/1": "p"})
    assert names(between(still, other)) == []
    assert names(between(still, moved)) == ["rng/python/1"]
    assert names(between(moved, still)) == ["rng/python/1"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (record({"rank/rng/torch": "z"}), "all but the random generators is alike"),
        (record({"shared/model/w": "z"}), "the global random generators are alike"),
        (record({"shared/model/w": "z", "rank/rng/torch": "z"}), "the random generators differ as well"),
        (record(shared={"optimizer": {"lr": 0.2}}), "only numbers of optimizer differ"),
        (record(stamp={"step": 19}), "the runs count differently"),
    ],
)
def test_likely_causes(other: dict[str, Any], said: str) -> None:
    assert said in hints(between(record(), other))[0]


def test_only_buffers() -> None:
    one, other = ({"shared/model/bn.running_mean": digest} for digest in "yz")
    assert "forward pass in training mode" in hints(between(record(one), record(other)))[0]


def test_a_state_without_an_optimizer_is_told_first() -> None:
    one, other = record(), record({"shared/model/w": "z"})
    for each in (one, other):
        del each["leaves"]["shared/optimizer/m"]
        del each["meta"]["shared"]["optimizer"]
    assert "no part of the state is called optimizer (model)" in hints(between(one, other))[0]


# --- the verdict ---


def verdict(comparison: Comparison, **fields: Any) -> Verdict:
    outcome = "different" if comparison.differences else "identical"
    given = {"outcome": outcome, "resumed": Resumed(9, "memory", 0.0123, 1.5), **fields}
    return Verdict(script="train.py", steps=20, kill_at=10, kill_rank=1, comparison=comparison, **given)


def test_identical() -> None:
    told = verdict(between(record(), record()))
    assert told.exit_code == 0
    assert told.text().splitlines() == [
        "identical: train.py resumes bit for bit (20 steps, rank 1 killed after step 10)",
        "  compared 3 arrays, 100 B, and 3 other values, of 1 rank",
        "  resumed  at step 9 from memory in 12 ms, 1.5 s after the kill, 1 step done again",
    ]


def test_many_differences_stay_within_their_lines() -> None:
    many = {f"shared/model/layer{number:03}.{'long' * 9}": "z" for number in range(500)}
    told = verdict(between(record(dict.fromkeys(many, "y")), record(many)), kept="/tmp/" + "x" * 200)
    lines = told.text().splitlines()
    assert told.exit_code == 1
    assert len(lines) <= LINES
    assert all(len(line) <= WIDTH for line in lines if "xxx" not in line)
    shown = sum(line.startswith("    model/") for line in lines)
    assert f"    and {500 - shown} more" in lines
    assert lines[-1] == f"  kept     /tmp/{'x' * 200}"


def test_the_rank_is_named_where_not_all_differ() -> None:
    found = compare({0: record(), 1: record()}, {0: record(), 1: record({"rank/rng/torch": "z"})})
    assert "    rng/torch (rank 1)" in verdict(found).text().splitlines()


def test_json_is_one_line_with_a_version() -> None:
    text = verdict(between(record(), record({"shared/model/w": "z"}))).json()
    assert text.count("\n") == 1
    told = json.loads(text)
    assert (told["v"], told["outcome"], told["compared"]["different_arrays"]) == (1, "different", 1)
    assert told["resumed"] == {
        "step": 9,
        "from": "memory",
        "seconds": 0.0123,
        "seconds_after_kill": 1.5,
    }
