"""When a file that is written to is uploaded, what becomes of outputs at a restart, who may have a lease."""

import doctest
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ma_training.storage.sync.trouble as trouble
import ma_training.transfer.plan as transfer_plan
from ma_training.storage import Entry, Record
from ma_training.storage.sync import Claim, Holder, Resume, Rule, Watch, resume
from ma_training.storage.sync.lease import TTL, may_take
from ma_training.storage.sync.turn import is_ours
from ma_training.transfer import Input, Output, TransferPlan
from ma_training.transfer.plan import checkpoint_url_of

RULE = Rule(quiet=5.0, patience=60.0, rate=1000)
WALL = 1_000_000.0


def entry(version: int, age: float = 0.0, size: int = 10) -> Entry:
    return Entry("f", size, int((WALL - age) * 1e9), f"version-{version}")


# --- Watch ---


def test_an_old_file_is_due_at_once() -> None:
    assert Watch(RULE).is_due(entry(1, age=6), None, now=0, wall=WALL)


def test_a_fresh_file_waits_until_it_is_quiet() -> None:
    watch = Watch(RULE)
    assert not watch.is_due(entry(1), None, 0, WALL)
    assert not watch.is_due(entry(1), None, 4.9, WALL)
    assert watch.is_due(entry(1), None, 5.0, WALL)


def test_an_mtime_in_the_future_does_not_keep_a_file_here() -> None:
    watch = Watch(RULE)
    future = entry(1, age=-3600)
    assert not watch.is_due(future, None, 0, WALL)
    assert watch.is_due(future, None, 5.0, WALL)


def test_what_is_never_quiet_is_taken_all_the_same() -> None:
    watch = Watch(RULE)
    due = [now for now in range(100) if watch.is_due(entry(now), None, now, WALL)]
    assert due[0] == 60


def test_a_large_file_that_keeps_changing_does_not_take_the_network() -> None:
    watch, uploaded, times = Watch(RULE), None, []
    for now in range(1000):
        large = entry(now, size=100_000)  # 100 s at the rate
        if watch.is_due(large, uploaded, now, WALL):
            times.append(now)
            uploaded = large.stamp
    assert min(b - a for a, b in itertools.pairwise(times)) >= 100
    assert len(times) >= 5


@given(st.lists(st.tuples(st.floats(0.1, 20), st.booleans()), max_size=100), st.floats(-100, 100))
def test_histories(steps: list[tuple[float, bool]], age: float) -> None:
    """Whatever happens: never what is uploaded already, never what has just changed unless it has waited
    long, and always in the end."""
    watch, now, version, changed_at, waiting_since = Watch(RULE), 0.0, 0, 0.0, None
    uploaded: str | None = None
    for passed, changes in steps:
        now += passed
        if changes:
            version, changed_at = version + 1, now
        found = entry(version, age)
        due = watch.is_due(found, uploaded, now, WALL)
        first_look = waiting_since is None
        if uploaded == found.stamp:
            assert not due
            continue
        waiting_since = now if waiting_since is None else waiting_since
        if due and not first_look:
            assert now - changed_at >= RULE.quiet or now - waiting_since >= RULE.patience
        if due:
            uploaded, waiting_since = found.stamp, None
            assert not watch.is_due(found, uploaded, now, WALL)
            assert len(watch) == 0  # nothing is remembered of what is uploaded
    final = entry(version, age)
    watch.is_due(final, uploaded, now, WALL)
    assert uploaded == final.stamp or watch.is_due(final, uploaded, now + 2 * RULE.quiet, WALL)


# --- resuming ---

STAMPS = st.sampled_from(["a", "b", "c"])


@given(st.none() | STAMPS, st.none() | STAMPS, st.none() | st.tuples(STAMPS, STAMPS))
def test_nothing_that_changed_here_is_written_over_unknowingly(
    here: str | None, there: str | None, known: tuple[str, str] | None
) -> None:
    local, remote = (None if stamp is None else Entry("f", 1, 0, stamp) for stamp in (here, there))
    record = (
        None
        if known is None or local is None or remote is None
        else Record(replace(local, etag=known[0]).stamp, replace(remote, etag=known[1]).stamp)
    )
    what = resume(local, remote, record)
    if what is Resume.FETCH and local is not None:
        assert known is not None and known[0] == here and known[1] != there
    if what is Resume.ALIKE:
        assert known == (here, there)
    if what is Resume.SEND and remote is not None:
        assert known is not None and known[0] != here and known[1] == there


# --- leases ---

HERE = Holder("h1", 7, "boot", "100")
CLAIM = Claim("train-2", "train", False, HERE)


@pytest.mark.parametrize(
    ("other", "unique", "age", "gone", "may"),
    [
        ({"job": "train-2"}, False, 0, False, True),  # our own, by another node
        ({"job": "x-1", "name": "x"}, False, 1, None, False),
        ({"job": "x-1", "name": "x"}, False, 1, True, False),  # another job's is only free when it expires
        ({"job": "x-1", "name": "x"}, False, TTL + 1, None, True),
        ({"job": "x-1", "name": "x", "ttl_s": 600}, False, TTL + 1, None, False),
        ({"job": "train-1", "name": "train"}, False, 1, True, True),  # killed, and started again
        ({"job": "train-1", "name": "train"}, False, 1, False, False),  # the same command twice
        ({"job": "train-1", "name": "train"}, False, 1, None, False),
        ({"job": "train-1", "name": "train"}, True, 1, None, True),  # rescheduled to another node
        ({"job": "train-1", "name": "train"}, True, 1, False, False),
        ({}, False, 1, None, False),  # damaged: until it is old
        ({}, False, TTL + 1, None, True),
    ],
)
def test_who_may_take_a_lease(
    other: dict[str, object], unique: bool, age: float, gone: bool | None, may: bool
) -> None:
    assert may_take(other, replace(CLAIM, unique=unique), age, gone) is may


# --- small things ---


def test_doctests() -> None:
    assert doctest.testmod(trouble).failed == 0
    assert doctest.testmod(transfer_plan).failed == 0


def test_a_plan_comes_back_from_its_record() -> None:
    plan = TransferPlan(
        (Input("obs://b/d", "/d"),), (Output("/o", "obs://b/o"),), log_url="obs://b/l", unique=True
    )
    assert TransferPlan.from_record(plan.to_record()) == plan
    assert plan.uploads and plan.leased == ("obs://b/o",)
    assert not TransferPlan()


def test_checkpoints_in_an_output_directory_go_to_their_place_there() -> None:
    from pathlib import Path

    outputs = (Output("/out", "obs://b/o"),)
    assert checkpoint_url_of(Path("/out"), outputs, "") == "obs://b/o"
    assert checkpoint_url_of(Path("/outer/c"), outputs, "") == ""
    assert checkpoint_url_of(Path("/out/c"), outputs, "obs://b/c") == "obs://b/c"


def test_what_is_kept_about_a_directory_is_not_the_users() -> None:
    assert is_ours(".ma-training/turn.json") and is_ours("a/.b.ma-training/done.json")
    assert not is_ours("ma-training/x") and not is_ours("a/notes.ma-training")
