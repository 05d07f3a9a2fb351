"""Every kind of hang is noticed within the limits, in drawn runs of each: 6 a kind. SOAK=1 draws 100."""

import os

import pytest

from ma_training.watchdog import Hang

from .kinds import HANGS, NEEDS_PEERS, NOTHING_KNOWN, SHAPES, Run, gaps, hung_at
from .world import World, watch

SEEDS = 100 if os.environ.get("SOAK") else 6
CONFIRMED = 5.0  # seconds after the suspicion
BLIND = 120.0  # seconds, where nothing is known
LATE = 0.4  # seconds: how far one observation of a loaded machine is behind
UNSEEN = 30.0  # seconds after the suspicion, where stacks cannot be seen


def last_progress(made: World) -> float:
    return max(known.step_at or 0.0 for rank in made.ranks for _, known in rank.marks[-1:])


@pytest.mark.parametrize("kind", HANGS)
def test_noticed(kind: str) -> None:
    noticed = 0
    for seed in range(SEEDS):
        run = Run(seed)
        made = HANGS[kind](run)
        hung = hung_at(made)
        seen = watch(made, hung + 150)
        assert len(seen.hangs) == 1, (kind, seed, seen.findings)
        (at, hang), suspected = seen.hangs[0], seen.suspects[-1]
        assert isinstance(hang, Hang)
        assert at >= hung, (kind, seed, "before it hung")
        if kind in NOTHING_KNOWN:
            assert at - hung <= BLIND, (kind, seed)
        else:
            limit = max(5.0, 3.0 * max(gaps(made)))
            assert suspected - last_progress(made) <= limit + LATE, (kind, seed, limit)
            assert at - suspected <= CONFIRMED + LATE, (kind, seed)
        noticed += 1
    assert noticed == SEEDS


@pytest.mark.parametrize(
    "kind", [kind for kind in SHAPES if kind not in NEEDS_PEERS | {"sleep of all ranks"}]
)
def test_the_rank_that_does_not_wait_is_the_culprit(kind: str) -> None:
    for seed in range(SEEDS):
        run = Run(seed).several()
        made = HANGS[kind](run)
        seen = watch(made, hung_at(made) + 150)
        ((_, hang),) = seen.hangs
        assert isinstance(hang, Hang)
        assert (hang.culprits, hang.waiting_only) == ((0,), False), (kind, seed)


def test_a_stopped_rank_is_the_culprit() -> None:
    run = Run(3)
    made = HANGS["SIGSTOP"](run)
    ((_, hang),) = watch(made, hung_at(made) + 60).hangs
    assert isinstance(hang, Hang)
    assert hang.culprits == (0,)
    assert "rank 0 is stopped by a signal (state T)" in hang.evidence


@pytest.mark.parametrize("kind", ["one rank skips a collective", "mismatched shapes", "blackhole"])
def test_where_all_wait_another_node_may_have_to_answer(kind: str) -> None:
    run = Run(1)
    made = HANGS[kind](run)
    ((_, hang),) = watch(made, hung_at(made) + 60).hangs
    assert isinstance(hang, Hang)
    assert hang.waiting_only


@pytest.mark.parametrize("kind", ["sleep", "read on a dead pipe", "one rank skips a collective", "SIGSTOP"])
def test_noticed_where_stacks_cannot_be_seen(kind: str) -> None:
    for seed in range(SEEDS):
        run = Run(seed)
        made = HANGS[kind](run)
        seen = watch(made, hung_at(made) + 100, unseen=True)
        assert len(seen.hangs) == 1, (kind, seed)
        assert seen.hangs[0][0] - seen.suspects[-1] <= UNSEEN


def test_a_busy_loop_that_no_one_can_look_at_is_not_called_a_hang() -> None:
    made = HANGS["busy loop"](Run(2))
    assert not watch(made, hung_at(made) + 100, unseen=True).hangs


WITHOUT_STEPS = [
    "sleep",
    "barrier before init",
    "one rank skips a collective",
    "skipped collective, peers spin",
]


@pytest.mark.parametrize("kind", WITHOUT_STEPS)
def test_noticed_where_steps_cannot_be_counted(kind: str) -> None:
    for seed in range(SEEDS):
        made = HANGS[kind](Run(seed))
        made.counts_steps = False
        seen = watch(made, hung_at(made) + 150)
        assert [at - hung_at(made) <= BLIND for at, _ in seen.hangs] == [True], (kind, seed)


def test_fourteen_kinds() -> None:
    assert len(HANGS) >= 14
