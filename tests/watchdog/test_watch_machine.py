"""What holds for any evidence whatever."""

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ma_training.watchdog import (
    Cleared,
    Evidence,
    Finding,
    Frame,
    Hang,
    Learned,
    RankEvidence,
    Stack,
    State,
    Suspect,
    Watch,
)
from ma_training.watchdog.figures import CONFIRM, FLOOR, INTERVAL, SAMPLES

EXAMPLES = 10_000 if os.environ.get("SOAK") else 200
PLACES = st.sampled_from([(), *[(Frame("f", "/job/train.py", line),) for line in (1, 2)]])


@st.composite
def ranks(draw: st.DrawFn, number: int) -> RankEvidence:
    times = st.none() | st.floats(0, 400)
    return RankEvidence(
        number,
        draw(st.none() | st.integers(0, 5)),
        draw(st.none() | st.integers(0, 50)),
        draw(times),
        draw(st.integers(0, 50)),
        draw(times),
        draw(st.sampled_from(["", "eval", "train", "start"])),
        draw(times),
        draw(st.floats(0, 1e3)),
        draw(st.integers(0, 10**9)),
        draw(st.sampled_from(["", "R", "SS", "TT", "DSS", "RST", "Z"])),
        draw(st.integers(0, 1000)),
    )


@st.composite
def moments(draw: st.DrawFn) -> tuple[float, tuple[RankEvidence, ...] | None, tuple[Stack, ...]]:
    """Seconds until it, the ranks' evidence (None: as before), and a sample of stacks."""
    present = draw(st.none() | st.sets(st.integers(0, 2)))
    seen = None if present is None else tuple(draw(ranks(number)) for number in sorted(present))
    gil, collective = st.none() | st.booleans(), st.sampled_from(["", "all_reduce"])
    stacks = tuple(Stack(n, draw(PLACES), draw(gil), draw(collective)) for n in range(3))
    return draw(st.sampled_from([0.0, 0.3, 1.0, 1.0, 2.5, 10.0, -1.0])), seen, stacks


def fed(watch: Watch, course: list, base: float = 100.0) -> list[tuple[float, Finding]]:
    found: list[tuple[float, Finding]] = []
    at, seen = base, (RankEvidence(0, 2),)
    for passed, new, stacks in course:
        at, seen = at + passed, new if new is not None else seen
        shifted = tuple(_shifted(rank, base) for rank in seen)
        found += [(at, finding) for finding in watch.observe(Evidence(at, shifted))]
        assert (watch.stacks_due is not None) == (watch.state is State.SUSPECT)
        found += [(at, finding) for finding in watch.stacks(at, stacks)]
    return found


def _shifted(rank: RankEvidence, by: float) -> RankEvidence:
    times = {"step_at": rank.step_at, "beat_at": rank.beat_at, "section_at": rank.section_at}
    return replace(rank, **{name: None if time is None else time + by for name, time in times.items()})


COURSES = st.lists(st.one_of(moments(), moments(), st.just((1.0, None, ()))), max_size=60).flatmap(
    lambda course: st.integers(0, 100).map(lambda rest: course + [(1.0, None, ())] * rest)
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(COURSES)
def test_findings_come_in_order(course: list) -> None:
    state = State.CALM
    for _, finding in fed(Watch(), course):
        if isinstance(finding, Suspect):
            assert state is not State.HUNG
            state = State.SUSPECT
        elif isinstance(finding, Hang):
            assert state is State.SUSPECT
            assert finding.evidence and set(finding.culprits) <= set(finding.ranks)
            assert len(finding.evidence) > 1, "one kind of evidence ends no job"
            state = State.HUNG
        elif isinstance(finding, Cleared):
            assert state is not State.CALM
            state = State.CALM


@settings(max_examples=EXAMPLES, deadline=None)
@given(COURSES)
def test_the_same_at_any_time_of_the_clock(course: list) -> None:
    # Powers of two, so that sums are exact but for the last bit.
    now, later = fed(Watch(), course, 128.0), fed(Watch(), course, 4096.0)
    assert [type(finding) for _, finding in now] == [type(finding) for _, finding in later]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.floats(0.2, FLOOR - 2 * INTERVAL - 0.1), min_size=20, max_size=60), st.data())
def test_who_steps_is_never_suspect(pauses: list[float], data: st.DataObject) -> None:
    watch, at, steps = Watch(), 50.0, 1
    for pause in pauses:
        until, steps = at + pause, steps + 1
        while at < until:
            at += 1.0
            states = data.draw(st.sampled_from(["S", "R", "D", "T"]))
            shown = RankEvidence(0, 2, steps, min(until, at), states=states)
            assert not watch.observe(Evidence(at, (shown, replace(shown, rank=1, states="S"))))


def hanging(at: float, paused: float = 0.0) -> Evidence:
    """Two ranks that have stepped until 20, and stand since."""
    steps = int(min(at, 20.0) * 10)
    rank = RankEvidence(0, 2, steps, min(at, 20.0), cpu=min(at, 20.0), states="SS" if at > 20 else "RS")
    shown = replace(rank, step_at=(rank.step_at or 0.0) + (paused if at > 20 else 0.0))
    return Evidence(at + paused, (shown, replace(shown, rank=1)))


STILL = [Stack(rank, (Frame("f", "/job/train.py", 1 + rank),), False) for rank in (0, 1)]


def first(watch: Watch, kind: type, gap_at: float = 1e9, gap: float = 0.0) -> float:
    """When it is found in evidence each second, none of which comes for ``gap`` seconds at ``gap_at``."""
    at = 0.0
    while at < 300:
        at += 1.0
        if gap_at <= at < gap_at + gap:
            continue
        found = watch.observe(hanging(at))
        if watch.stacks_due is not None and watch.stacks_due <= at:
            found = found + watch.stacks(at, STILL)
        if any(isinstance(finding, kind) for finding in found):
            return at
    raise AssertionError("not found in 300 s")


def test_suspected_and_confirmed_within_the_limits() -> None:
    assert first(Watch(), Suspect) <= 20 + FLOOR
    assert 20 + FLOOR - INTERVAL + CONFIRM <= first(Watch(), Hang) <= 20 + FLOOR + 5


@given(st.floats(21, 23), st.floats(5, 200))
def test_a_gap_in_the_watch_is_no_time_without_progress(gap_at: float, gap: float) -> None:
    assert first(Watch(), Suspect, gap_at, gap) >= 20 + gap


def test_what_was_learned_holds_in_the_next_attempt() -> None:
    watch = Watch()
    first(watch, Suspect)
    again = Watch(Learned.from_dict(watch.learned.as_dict()))
    assert again.learned.limit("train") == watch.learned.limit("train") == FLOOR


def test_the_users_own_limit() -> None:
    assert first(Watch(Learned(limit=30.0)), Suspect) == 50


def judged(seconds: int, *ranks: RankEvidence, alone: bool = True, stacks: bool = True) -> list[Finding]:
    """Training for 20 s, and then what ``ranks`` show, for so long."""
    watch, found = Watch(alone=alone), []
    for second in range(1, 21):
        watch.observe(hanging(second))
    for second in range(21, 21 + seconds):
        shown = [replace(rank, steps=rank.steps or 200, step_at=rank.step_at or 20.0) for rank in ranks]
        found += watch.observe(Evidence(second, tuple(shown)))
        if stacks and watch.stacks_due is not None:
            found += watch.stacks(second + 0.1, STILL)
    return found


def hangs(found: list[Finding]) -> list[Hang]:
    return [finding for finding in found if isinstance(finding, Hang)]


ASLEEP = RankEvidence(0, 2, cpu=20.0, states="SS")
STOPPED = replace(ASLEEP, rank=1, states="TT")


def test_a_job_that_is_stopped_as_a_whole_does_not_hang() -> None:
    assert not judged(200, replace(STOPPED, rank=0), STOPPED)


def test_but_its_part_on_one_node_does() -> None:
    (hang,) = hangs(judged(30, replace(STOPPED, rank=0), STOPPED, alone=False))
    assert hang.culprits == (0, 1)


def test_one_stopped_rank_hangs_without_stacks_as_well() -> None:
    (hang,) = hangs(judged(60, ASLEEP, STOPPED, stacks=False))
    assert hang.culprits == (1,)


def test_who_has_ended_is_not_waited_for() -> None:
    gone = replace(ASLEEP, rank=1, phase=4, states="")
    (hang,) = hangs(judged(30, ASLEEP, gone))
    assert hang.ranks == (0,)


def test_nobody_is_left() -> None:
    assert not judged(300, replace(ASLEEP, states=""), replace(ASLEEP, rank=1, states="Z"))
    assert not hangs(judged(300))


def test_a_debuggers_prompt_is_no_hang() -> None:
    watch = Watch()
    prompt = [Stack(rank, (Frame("readline", "/usr/lib/python3.11/pdb.py", 9),), False) for rank in (0, 1)]
    for second in range(1, 200):
        assert not hangs(watch.observe(hanging(second)))
        assert not hangs(watch.stacks(second + 0.1, prompt))


def test_a_rank_that_is_left_behind_is_suspected_alone() -> None:
    watch, found = Watch(), []
    for second in range(1, 60):
        one, other = hanging(second).ranks
        going = replace(other, steps=second * 10, step_at=second - 0.1, cpu=second, states="RS")
        found += watch.observe(Evidence(second, (one, going)))
        found += watch.stacks(second + 0.1, STILL)
    (hang,) = hangs(found)
    assert (hang.ranks, hang.waiting_only) == ((0,), False)


def test_who_waits_for_a_rank_in_another_phase_is_not_suspect() -> None:
    watch = Watch()
    for second in range(1, 80):
        one, other = hanging(second).ranks
        saving = replace(other, section="checkpoint", section_at=20.5) if second > 20 else other
        assert not watch.observe(Evidence(second, (one, saving)))


def test_fewer_samples_than_wanted_confirm_nothing() -> None:
    watch = Watch()
    samples = 0
    for second in range(1, 36):
        watch.observe(hanging(second))
        if watch.state is State.SUSPECT and samples < SAMPLES - 1:
            samples += 1
            assert not watch.stacks(second + 0.1, STILL)
    assert watch.state is State.SUSPECT


def test_parts_of_a_start_are_not_taken_for_the_whole() -> None:
    watch = Watch()
    for second in range(1, 60):
        watch.observe(Evidence(second, (RankEvidence(0, 1 if second < 5 else 2, cpu=second, states="R"),)))
        assert watch.learned.limit("start") is None
    watch.observe(Evidence(60, (RankEvidence(0, 2, 0, cpu=60, states="R"),)))
    watch.observe(Evidence(61, (RankEvidence(0, 2, 1, 60.5, cpu=61, states="R"),)))
    assert watch.learned.limit("start") is not None
