"""States are written into slots, found newest first, and copied out; one process writes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.snapshot import Schema, Segment, SnapshotError
from ma_training.snapshot.layout import Layout

from ..snapshots import SCHEMA, commit, steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rank-0.snap"


@pytest.fixture
def segment(path: Path) -> Iterator[Segment]:
    segment = Segment.create(path, SCHEMA, slots=3, meta_capacity=100, rank=3, attempt=2, job="digits")
    yield segment
    segment.close()


# Writing and reading


def test_a_file_says_what_it_is(segment: Segment, path: Path) -> None:
    again = Segment.open(path)
    assert (again.layout, again.schema) == (segment.layout, SCHEMA)
    assert (again.layout.rank, again.layout.attempt, again.layout.slots) == (3, 2, 3)
    assert again.layout.job == Layout.of(SCHEMA, 2, 1, job="digits").job != Layout.of(SCHEMA, 2, 1).job
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 >= path.stat().st_size == segment.layout.file_bytes
    assert steps(again) == []
    assert [child.name for child in path.parent.iterdir()] == [path.name]
    again.close()


def test_states_are_found_newest_first(segment: Segment, path: Path) -> None:
    numbers = [commit(segment, step) for step in (1, 2, 3, 7, 5)]  # of a job that went back to step 4
    assert numbers == [0, 1, 2, 0, 1]
    reader = Segment.open(path)
    assert steps(reader) == steps(segment) == [5, 7, 3]
    reader.close()


def test_a_state_that_is_not_published_is_none(segment: Segment) -> None:
    commit(segment, 1)
    slot = segment.begin(2)
    assert slot is not None
    slot.data[:] = bytes([2]) * SCHEMA.data_bytes
    assert steps(segment) == [1]
    assert commit(segment, 3) == slot.number  # it holds nothing of worth
    assert steps(segment) == [3, 1]
    with pytest.raises(SnapshotError, match="step 2: published already, or its slot was taken"):
        slot.publish(b"{}")
    assert steps(segment) == [3, 1]


def test_a_state_is_published_once(segment: Segment) -> None:
    slot = segment.begin(1)
    assert slot is not None
    slot.publish(b'{"step": 1}')
    with pytest.raises(SnapshotError, match="step 1: published already"):
        slot.publish(b'{"step": 1}')


def test_a_meta_that_does_not_fit(segment: Segment) -> None:
    slot = segment.begin(1)
    assert slot is not None
    with pytest.raises(SnapshotError, match="step 1: 101 bytes of meta, the snapshot has room for 100"):
        slot.publish(b" " * 101)
    assert segment.states() == []
    slot.publish(b'{"step": 1}'.ljust(100))
    assert [state.meta for state in segment.states()] == [{"step": 1}]


@pytest.mark.parametrize("meta", [b"", b"[]", b"{", b"\xff", b"[" * 100])
def test_a_meta_that_is_no_object_is_no_state(segment: Segment, meta: bytes) -> None:
    commit(segment, 1)
    slot = segment.begin(2)
    assert slot is not None
    slot.publish(meta)
    assert steps(segment) == [1]
    assert commit(segment, 3) == slot.number  # and is not kept for the last good one


def test_numbers_that_json_knows_not(segment: Segment) -> None:
    slot = segment.begin(1)
    assert slot is not None
    slot.publish(json.dumps({"step": 1, "loss": float("inf")}).encode())
    assert segment.states()[0].meta["loss"] == float("inf")


def test_leaves_are_copied_out(segment: Segment) -> None:
    commit(segment, 1)
    (state,) = segment.states()
    buffer = bytearray(140)
    state.read_into("model/w", memoryview(buffer))
    commit(segment, 2)
    assert buffer == bytes([1]) * 140
    with pytest.raises(SnapshotError, match="leaf 'model/w' has 140 bytes, the buffer for it 139"):
        state.read_into("model/w", memoryview(bytearray(139)))
    with pytest.raises(SnapshotError, match="no leaf 'other'"):
        state.leaf("other")
    with pytest.raises(TypeError, match="read-only"):
        state.leaf("model/w")[0] = 0


def test_a_state_that_was_overwritten_says_so(segment: Segment) -> None:
    commit(segment, 1)
    (state,) = segment.states()
    for step in (2, 3, 4):
        assert commit(segment, step) is not None
    assert not state.is_there()
    with pytest.raises(SnapshotError, match="step 1 was overwritten while 'opt/m' was read"):
        state.read_into("opt/m", memoryview(bytearray(72)))
    assert state.store_checksum() is None
    assert not state.pin()


def test_views_may_outlive_the_segment(path: Path) -> None:
    segment = Segment.create(path, SCHEMA, slots=2)
    commit(segment, 9)
    leaf = segment.states()[0].leaf("opt/m")
    segment.close()
    assert bytes(leaf) == bytes([9]) * 72


def test_slots_have_fixed_addresses(segment: Segment) -> None:
    kept: dict[int, memoryview] = {}
    for step in range(1, 7):
        slot = segment.begin(step)
        assert slot is not None
        data = kept.setdefault(slot.number, slot.data)
        data[:] = bytes([step]) * SCHEMA.data_bytes
        slot.publish(json.dumps({"step": step}).encode())
    assert steps(segment) == [6, 5, 4]


@pytest.mark.parametrize("step", [-1, 1 << 64])
def test_what_is_no_step(segment: Segment, step: int) -> None:
    with pytest.raises(SnapshotError, match="steps are numbers from 0 up"):
        segment.begin(step)


def test_a_schema_without_leaves(path: Path) -> None:
    segment = Segment.create(path, Schema(()), slots=2)
    for step in (1, 2, 3):
        slot = segment.begin(step)
        assert slot is not None and len(slot.data) == 0
        slot.publish(b"{}")
    state = segment.states()[0]
    assert state.store_checksum() is not None
    assert [state.step for state in segment.states(verify=True)] == [3, 2]
    segment.close()


# One writer

WRITE = """
import sys
from pathlib import Path
from ma_training.snapshot import Segment
slot = Segment.open(Path(sys.argv[1])).begin(int(sys.argv[2]))
print("began", flush=True)
sys.stdin.read()
"""


def start_writer(path: Path, step: int) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", WRITE, str(path), str(step)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_second_writer_is_refused_while_the_first_lives(segment: Segment, path: Path) -> None:
    commit(segment, 1)
    other = Segment.open(path)
    segment._writer[0] = 0  # as if this process had never written
    with start_writer(path, 2) as process:
        assert process.stdout is not None and process.stdout.readline() == "began\n"
        for one in (segment, other):
            with pytest.raises(
                SnapshotError, match=f"process {process.pid} writes to .*rank-0.snap already\nhint"
            ):
                one.begin(3)
        assert steps(other) == [1]
        process.kill()
        process.wait()
        assert commit(other, 3) == 1  # what it left unfinished
    assert steps(segment) == [3, 1]
    other.close()


def test_a_forked_child_is_another_writer(segment: Segment) -> None:
    commit(segment, 1)
    child = os.fork()
    if child == 0:
        try:
            segment.begin(2)
        except SnapshotError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert steps(segment) == [1]
