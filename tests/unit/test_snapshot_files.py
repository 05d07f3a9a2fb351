"""Files that are damaged, foreign or cut short are refused; making one leaves all or nothing."""

import errno
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.snapshot import LeafSpec, Schema, Segment, SnapshotError, Stored, memory_file
from ma_training.snapshot.layout import HEADER_BYTES, HEADERS_AT, LINE, SCHEMA_AT, VERSION

from ..snapshots import SCHEMA, commit, content, steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rank-0.snap"


# Files that are not what they should be


def whole_file(directory: Path) -> bytes:
    path = directory / "whole.snap"
    segment = Segment.create(path, SCHEMA, slots=3, meta_capacity=100)
    for step in (1, 2, 3):
        commit(segment, step)
    for state in segment.states():
        state.store_checksum()
    segment.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return whole_file(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "rank-0.snap"


# Where flips tell something: half of them in the first pages, which are a small part of the file.
PLACES = st.integers(0, 130) | st.integers(HEADERS_AT, HEADERS_AT + 3 * LINE) | st.integers(0)
FLIPS = st.lists(st.tuples(PLACES, st.integers(1, 255)), min_size=1, max_size=4)


def opened_states(path: Path) -> list[Stored]:
    """Raises nothing but SnapshotError. Writes too: a damaged file may be adopted."""
    segment = Segment.open(path)
    states = segment.states(verify=True)
    newest = states[0] if states else None
    slot = segment.begin(100)
    assert slot is not None
    slot.data[:] = bytes([100]) * len(slot.data)
    slot.publish(b'{"step": 100}')
    after = segment.states(verify=True)
    assert after[0].step == 100
    assert newest is None or any(state.seq == newest.seq for state in after)
    return states


@given(PLACES, st.integers(1, 255))
def test_one_damaged_byte_gets_no_wrong_state_through(
    whole: bytes, scratch: Path, place: int, mask: int
) -> None:
    place %= len(whole)
    scratch.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
    segment = None
    try:
        segment = Segment.open(scratch)
    except SnapshotError:
        assert place < HEADERS_AT + LINE * 64 + 1000
        return
    assert all(map(content, segment.states(verify=True)))
    assert len(segment.states(verify=True)) >= 2
    segment.close()


@given(FLIPS)
def test_damage_raises_nothing_but_our_own_error(
    whole: bytes, scratch: Path, flips: list[tuple[int, int]]
) -> None:
    damaged = bytearray(whole)
    for place, mask in flips:
        damaged[place % len(whole)] ^= mask
    scratch.write_bytes(damaged)
    try:
        states = opened_states(scratch)
    except SnapshotError:
        return
    assert all(state.step in (1, 2, 3) for state in states)


@given(st.integers(0), st.booleans())
def test_a_truncated_file_is_refused(whole: bytes, scratch: Path, length: int, longer: bool) -> None:
    scratch.write_bytes(whole + b"\0" * (length % 5000 + 1) if longer else whole[: length % len(whole)])
    with pytest.raises(SnapshotError, match=r"cannot use .*(not a snapshot|its header says)"):
        Segment.open(scratch)


def test_each_byte_of_header_and_schema_counts(whole: bytes, scratch: Path) -> None:
    schema_end = SCHEMA_AT + len(SCHEMA.to_json())
    for place in (*range(HEADER_BYTES), *range(SCHEMA_AT, schema_end)):
        for mask in (1, 0x20, 0x80):
            scratch.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            with pytest.raises(SnapshotError, match=r"not a snapshot|version|header|schema"):
                Segment.open(scratch)


@pytest.mark.parametrize(
    ("word", "value"), [(2, 1), (2, 1 << 60), (3, 1 << 60), (4, 1 << 60), (5, 0), (6, 0)]
)
def test_a_header_that_is_wrong_from_the_start(whole: bytes, scratch: Path, word: int, value: int) -> None:
    """Its checksum is right: another program made it."""
    fields = bytearray(whole[: HEADER_BYTES - 8])
    fields[word * 8 : word * 8 + 8] = value.to_bytes(8, "little")
    scratch.write_bytes(fields + zlib.crc32(fields).to_bytes(8, "little") + whole[HEADER_BYTES:])
    with pytest.raises(SnapshotError, match="its header is damaged"):
        Segment.open(scratch)


@given(st.binary(max_size=9000))
def test_garbage_is_refused(scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)
    with pytest.raises(SnapshotError, match="not a snapshot"):
        Segment.open(scratch)


def test_another_version(whole: bytes, path: Path) -> None:
    path.write_bytes(whole[:8] + (VERSION + 1).to_bytes(8, "little") + whole[16:])
    with pytest.raises(SnapshotError, match="format version 2 found, version 1 expected"):
        Segment.open(path)


def test_what_is_no_file_of_ours(path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SnapshotError, match="No such file"):
        Segment.open(path)
    real = path.with_name("real")
    real.write_bytes(whole)
    path.symlink_to(real)
    with pytest.raises(SnapshotError, match="a symbolic link"):
        Segment.open(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SnapshotError, match="not a file of user"):
        Segment.open(path)
    with pytest.raises(SnapshotError, match="Is a directory"):
        Segment.open(path.parent)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(SnapshotError, match=f"not a file of user {uid + 1}"):
        Segment.open(real)


# Making


def test_a_new_file_replaces_the_old_at_once(path: Path) -> None:
    old = Segment.create(path, SCHEMA, slots=2)
    commit(old, 1)
    new = Segment.create(path, Schema(()), slots=2)
    assert commit(old, 2) == 1  # whoever has it may go on
    assert steps(old) == [2, 1]
    assert new.states() == Segment.open(path).states() == []
    old.close()
    new.close()


def test_what_a_killed_maker_left_is_removed(path: Path) -> None:
    left = path.with_name(".rank-0.snap.0123.new")
    others = [path.with_name(name) for name in (".rank-1.snap.0123.new", "rank-0.snap.new")]
    for file in (left, *others):
        file.write_bytes(b"x")
    Segment.create(path, SCHEMA, slots=2).close()
    assert sorted(path.parent.iterdir()) == sorted([path, *others])


def test_a_large_file_is_allocated_piece_by_piece(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_file, "_CHUNK", 10_000)
    monkeypatch.setattr(memory_file, "_PIECE", 3_000)
    schema = Schema((LeafSpec("leaf", "U8", (100_001,)),))
    segment = Segment.create(path, schema, slots=2)
    assert path.stat().st_size == segment.layout.file_bytes > 200_000
    assert path.stat().st_blocks * 512 >= segment.layout.file_bytes
    slot = segment.begin(1)
    assert slot is not None
    slot.data[:] = b"\1" * len(slot.data)
    slot.publish(b"{}")
    segment.close()
    assert set(Segment.open(path).states()[0].leaf("leaf")) == {1}


def no_room(number: int) -> Any:
    def fallocate(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fallocate


@pytest.mark.parametrize(
    ("number", "complaint"),
    [
        (errno.ENOSPC, r"No space left on device; 20 KiB are needed, .* has .* free"),
        (errno.EDQUOT, "Disk quota exceeded; 20 KiB are needed"),
        (errno.EROFS, "Read-only file system$"),
    ],
)
def test_no_room(path: Path, monkeypatch: pytest.MonkeyPatch, number: int, complaint: str) -> None:
    old = Segment.create(path, SCHEMA, slots=2, meta_capacity=100)
    commit(old, 1)
    monkeypatch.setattr(os, "posix_fallocate", no_room(number))
    with pytest.raises(SnapshotError, match=f"cannot make {path}: {complaint}"):
        Segment.create(path, SCHEMA, slots=2, meta_capacity=100)
    assert [child.name for child in path.parent.iterdir()] == [path.name]
    assert steps(old) == [1]
    old.close()


def test_a_directory_that_is_not_there(path: Path) -> None:
    shutil.rmtree(path.parent)
    with pytest.raises(SnapshotError, match=r"cannot make .*: No such file"):
        Segment.create(path, SCHEMA, slots=2)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"slots": 1}, "1 slots, 2 to 64 are possible"),
        ({"slots": 65}, "65 slots"),
        ({"slots": 2, "meta_capacity": 0}, "0 bytes of meta"),
        ({"slots": 2, "rank": -1}, "-1 as rank"),
        ({"slots": 2, "attempt": -1}, "-1 as attempt"),
    ],
)
def test_what_cannot_be_made(path: Path, options: dict[str, int], complaint: str) -> None:
    with pytest.raises(SnapshotError, match=complaint):
        Segment.create(path, SCHEMA, **options)
    assert list(path.parent.iterdir()) == []
