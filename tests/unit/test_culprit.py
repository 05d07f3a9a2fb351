"""Who holds the others up: stacks in, a sentence out."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.diagnosis import Evidence, diagnose, load_catalogue
from ma_training.watchdog.culprit import KINDS, Explanation, clock, explain
from ma_training.watchdog.evidence import Frame
from ma_training.watchdog.flight_recorder import Call, Recorder
from ma_training.watchdog.grouping import group, spell_ranks
from ma_training.watchdog.report import as_record, as_text
from ma_training.watchdog.samples import Sample, Thread

SITE = "/venv/lib/python3.11/site-packages"
C10D = f"{SITE}/torch/distributed/distributed_c10d.py"
LOADER = f"{SITE}/torch/utils/data/dataloader.py"
THREADING = "/usr/lib/python3.11/threading.py"


def main(line: int = 88) -> Frame:
    return Frame("<module>", "/job/train.py", line)


COLLECTIVE = (
    Frame("all_reduce", C10D, 2810),
    Frame("wrapper", f"{SITE}/torch/distributed/c10d_logger.py", 83),
    main(),
)
BARRIER = (Frame("barrier", C10D, 4900), main(90))
BACKWARD = (Frame("_engine_run_backward", f"{SITE}/torch/autograd/graph.py", 979), main(87))
READING = (Frame("__getitem__", "/job/data.py", 41), Frame("__next__", LOADER, 733), main(80))


def sample(rank: int, frames: Sequence[Frame] = COLLECTIVE, **fields: object) -> Sample:
    thread = Thread(tuple(frames), main=True)
    return Sample(rank, 100 + rank, (thread,), "py-spy", **({"state": "S"} | fields))  # type: ignore[arg-type]


def of_four(culprit: Sample, **others: object) -> Explanation:
    return explain([sample(0), sample(1), culprit, sample(3)], **others)  # type: ignore[arg-type]


def test_the_sentence_of_the_issue() -> None:
    found = of_four(sample(2, READING), since={2: 252.9, 0: 252.0})
    assert found.sentence == (
        "ranks 0, 1, 3 wait in all_reduce at train.py:88; "
        "rank 2 is in the data loader at data.py:41 since 00:04:12"
    )
    assert (found.culprits, found.waiting, found.waiting_only) == ((2,), (0, 1, 3), False)


LOCK = (Frame("wait", THREADING, 327), Frame("f", "/job/locks.py", 5), main())
SLEEP = (Frame("f", "/job/a.py", 5), main())
CULPRITS = [
    ("stopped", sample(2, COLLECTIVE, state="T"), "rank 2 is stopped (SIGSTOP) at train.py:88"),
    ("kernel", Sample(2, 7, state="D", waits_for="nfs_wait"), "rank 2 is in the kernel (nfs_wait)"),
    ("mute", Sample(2, 7, problem="cannot be looked at", state="S"), "rank 2 cannot be looked at"),
    ("loader", sample(2, READING), "rank 2 is in the data loader at data.py:41"),
    ("lock", sample(2, LOCK), "rank 2 is waiting for a lock at locks.py:5"),
    ("sleep", sample(2, SLEEP, waits_for="sleep"), "rank 2 is asleep at a.py:5"),
    ("busy", sample(2, SLEEP, state="R"), "rank 2 is busy at a.py:5"),
    ("read", sample(2, SLEEP, waits_for="read of /data/x"), "rank 2 is reading at a.py:5 (read of /data/x)"),
    ("write", sample(2, SLEEP, waits_for="write of /out/x"), "rank 2 is writing at a.py:5 (write of /out/x)"),
    (
        "log writer",
        sample(2, SLEEP, waits_for="write of pipe:[9]"),
        "rank 2 is writing what no one takes at a.py:5 (write of pipe:[9])",
    ),
    (
        "exit",
        sample(2, [Frame("_shutdown", THREADING, 1583)]),
        "rank 2 is past the end of its script at threading.py:1583",
    ),
]


@pytest.mark.parametrize(("kind", "culprit", "said"), CULPRITS, ids=[case[0] for case in CULPRITS])
def test_each_kind_of_culprit(kind: str, culprit: Sample, said: str) -> None:
    found = of_four(culprit)
    assert (found.kind, found.culprits, found.waiting) == (kind, (2,), (0, 1, 3))
    assert found.sentence == f"ranks 0, 1, 3 wait in all_reduce at train.py:88; {said}"


def test_who_holds_the_gil_and_sleeps() -> None:
    held = Thread((Frame("call", "/job/native.py", 3),), name="side", owns_gil=True, number=9, state="S")
    stuck = Sample(2, 7, (Thread(SLEEP, main=True), held), "py-spy", state="S", waits_for="a lock")
    found = of_four(stuck)
    assert (found.kind, found.culprits) == ("gil", (2,))
    assert "rank 2 is in C code that holds the GIL at native.py:3" in found.sentence


def test_the_loaders_process_is_looked_into() -> None:
    waits = (Frame("_try_get_data", LOADER, 1284), Frame("__next__", LOADER, 733), main(80))
    worker = Frame("_worker_loop", f"{SITE}/torch/utils/data/_utils/worker.py", 349)
    idle = Sample(2, 11, (Thread((Frame("poll", THREADING, 1), worker), main=True),), state="S")
    stuck = Sample(2, 12, (Thread((Frame("__getitem__", "/job/data.py", 41), worker), main=True),), state="S")
    found = of_four(sample(2, waits, children=(idle, stuck)))
    assert found.sentence.endswith("rank 2 is in the data loader at data.py:41 (its worker process 12)")


def test_all_wait_the_culprit_is_elsewhere() -> None:
    found = explain([sample(0), sample(1)])
    assert (found.culprits, found.waiting, found.waiting_only, found.kind) == ((), (0, 1), True, "elsewhere")


def test_the_others_in_backward_wait_too() -> None:
    found = explain([sample(0, BACKWARD), sample(1, BACKWARD), sample(2, READING)])
    assert found.sentence.startswith(
        "ranks 0, 1 wait in backward at train.py:87; rank 2 is in the data loader"
    )
    assert found.culprits == (2,)


def test_one_that_computes_does_not_wait_in_backward() -> None:
    found = explain([sample(0, BACKWARD, state="R"), sample(1, READING)])
    assert found.sentence.startswith("rank 0 is in backward at train.py:87; rank 1 is in the data loader")


IN_C = (Frame("train", "/job/train.py", 70), main())  # `work.wait()`, `loss.item()`


@pytest.mark.parametrize(
    "fields", [{"state": "R"}, {"waits_for": "a lock"}, {"waits_for": "recvfrom of socket:[1]"}]
)
def test_waits_in_c_that_could_be_for_the_others(fields: dict[str, str]) -> None:
    inside = [sample(rank, IN_C, **fields) for rank in (0, 1)]
    other = explain([*inside, sample(2, READING)])
    assert (other.culprits, other.waiting) == ((2,), (0, 1))
    assert explain([inside[0], sample(2)]).culprits == (0,)  # who is certain to wait is not the culprit

    waiting = calls(REDUCE, REDUCE)
    recorder = Recorder({0: waiting, 1: waiting, 2: calls(REDUCE, pending=False)})
    late = explain([*inside, sample(2, IN_C, **fields)], recorder)
    assert (late.culprits, late.waiting) == ((2,), (0, 1))
    assert late.sentence.startswith("ranks 0, 1 wait in all_reduce at train.py:70; rank 2 is ")
    nowhere = explain(inside, Recorder({0: waiting, 1: waiting}))
    assert (nowhere.waiting_only, nowhere.kind) == (True, "elsewhere")


def test_different_collectives() -> None:
    found = explain([sample(0), sample(1), sample(2, BARRIER)])
    assert (found.culprits, found.kind) == ((2,), "skipped")
    even = explain([sample(0), sample(1, BARRIER)])
    assert (even.culprits, even.kind, even.waiting) == ((), "skipped", (0, 1))


def test_one_rank_has_ended() -> None:
    found = explain([sample(0), sample(1)], ended=[2])
    assert found.sentence == "ranks 0, 1 wait in all_reduce at train.py:88; rank 2 has ended"
    assert (found.culprits, found.kind) == ((2,), "ended")


def test_ranks_that_have_not_come_to_the_meeting() -> None:
    meeting = (Frame("_create_c10d_store", f"{SITE}/torch/distributed/rendezvous.py", 1), main(3))
    found = explain([sample(0, meeting), sample(1, meeting)])
    assert (found.kind, found.sentence) == ("meeting", "ranks 0, 1 wait in init_process_group at train.py:3")
    late = explain([sample(0, meeting), sample(1, SLEEP, waits_for="sleep")])
    assert late.culprits == (1,)


def calls(*last: tuple[str, str], pending: bool = True) -> dict[str, tuple[Call, ...]]:
    """The default group's: all done but the last."""
    found = [Call(n, operation, sizes, "float32", True) for n, (operation, sizes) in enumerate(last, 1)]
    if pending:
        found[-1] = Call(len(last), *last[-1], "float32", False)
    return {"": tuple(found)}


REDUCE = ("all_reduce", "[1024]")


def test_the_recorder_knows_who_has_not_entered() -> None:
    waiting = calls(REDUCE, REDUCE)
    recorder = Recorder({0: waiting, 1: waiting, 2: calls(REDUCE, pending=False), 3: waiting})
    assert (recorder.lagging(), recorder.different()) == ((2,), ())
    assert recorder.sentence() == (
        "rank 2 has not entered all_reduce #2 (float32 [1024]); ranks 0, 1, 3 have"
    )
    assert recorder.entered() == {"": {0: 2, 1: 2, 2: 1, 3: 2}}
    assert of_four(sample(2), recorder=recorder).culprits == (2,)  # its stack says the same as the others'


def test_the_recorder_knows_who_called_with_another_shape() -> None:
    other = ("all_reduce", "[10]")
    recorder = Recorder({0: calls(REDUCE), 1: calls(other), 2: calls(REDUCE)})
    assert recorder.sentence() == (
        "ranks 0, 2 called all_reduce of float32 [1024], rank 1 called all_reduce of float32 [10] (#1)"
    )
    found = explain([sample(0), sample(1), sample(2)], recorder)
    assert (found.culprits, found.kind) == ((1,), "mismatch")


def test_shapes_may_differ_where_they_may() -> None:
    recorder = Recorder({0: calls(("all_to_all", "[3]")), 1: calls(("all_to_all", "[5]"))})
    assert (recorder.sentence(), recorder.mismatch()) == ("", False)


def test_a_rank_with_no_record_of_the_default_group_has_not_entered() -> None:
    assert Recorder({0: calls(REDUCE), 1: {}}).lagging() == (1,)


def test_of_another_group_only_its_members_are_compared() -> None:
    members = {"tp": calls(REDUCE)[""]}
    assert Recorder({0: members, 1: members, 2: {}}).lagging() == ()
    late = Recorder({0: members, 1: {"tp": calls(REDUCE, REDUCE)[""]}})
    assert late.sentence().startswith("rank 0 has not entered all_reduce #2 of group tp")


def test_library_lines_do_not_part_a_group() -> None:
    near = (Frame("all_reduce", C10D, 2999), *COLLECTIVE[1:])
    far = (*COLLECTIVE[:-1], main(91))
    assert [one.ranks for one in group([sample(2, far), sample(1, near), sample(0)])] == [(0, 1), (2,)]


@pytest.mark.parametrize(
    ("ranks", "said"),
    [([2], "rank 2"), ([3, 0, 1], "ranks 0, 1, 3"), ([*range(16), 20], "ranks 0-15, 20"),
     (list(range(0, 40, 2)), "ranks 0, 2, 4, 6, 8, 10, 12, 14, 12 more such")],
)  # fmt: skip
def test_ranks_in_words(ranks: list[int], said: str) -> None:
    assert spell_ranks(ranks) == said


def test_times() -> None:
    assert [clock(seconds) for seconds in (-1, 59.9, 90061)] == ["00:00:00", "00:00:59", "25:01:01"]


def test_the_catalogue_knows_every_kind() -> None:
    catalogue = load_catalogue()
    found = [diagnose(Evidence(-9, hang=kind), catalogue) for kind in KINDS]
    assert len({one.id for one in found if one and one.id.startswith("hang-")}) == len(KINDS)


SAMPLES = st.builds(
    sample,
    st.integers(0, 5),
    st.sampled_from([COLLECTIVE, BARRIER, BACKWARD, READING, LOCK, SLEEP, ()]),
    state=st.sampled_from(["R", "S", "D", "T", "t", "Z", ""]),
    waits_for=st.sampled_from(["", "a lock", "read of x", "sleep", "write of pipe:[1]"]),
    problem=st.sampled_from(["", "is stopped", "sits in the kernel"]),
)


@given(st.lists(SAMPLES, max_size=6, unique_by=lambda sample: sample.rank), st.sets(st.integers(6, 8)))
def test_whatever_the_stacks(samples: list[Sample], ended: set[int]) -> None:
    found = explain(samples, since={0: 3.0}, ended=sorted(ended))
    ranks = {sample.rank for sample in samples}
    assert not set(found.culprits) & set(found.waiting)
    assert set(found.waiting) <= ranks
    assert set(found.culprits) <= ranks | ended
    assert found.kind in (*KINDS, "")
    assert bool(found.kind) == bool(found.culprits or found.waiting)
    assert as_text(found).endswith("\n")
    assert [one["rank"] for one in as_record(found)["ranks"]] == [
        rank for one in found.groups for rank in one.ranks
    ]
