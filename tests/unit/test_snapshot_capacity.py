"""Where copies of a state go, and what is said of it."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.devices import MemoryLimit, memory_limits
from ma_training.snapshot import Choice, Copy, LeafSpec, Mode, Room, Schema, decide, file_room, room
from ma_training.snapshot.capacity import META_ROOM
from ma_training.snapshot.layout import Layout

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
FILE = Copy(0).bytes  # what a copy of nothing takes
SHM, DISK = Room(23 * GIB, "/dev/shm"), Room(70 * GIB, "/data")


def test_the_tightest_decides() -> None:
    machine = MemoryLimit("the machine's memory", 64 * GIB, 30 * GIB)
    container = MemoryLimit("the container's memory limit", 16 * GIB, 10 * GIB)
    assert room(SHM, [machine, container]) == Room(10 * GIB - 1717986918, container.what)
    assert room(SHM, [machine]) == Room(23 * GIB, "/dev/shm")
    assert room(Room(64 * MIB, "/dev/shm"), [machine, container]) == Room(64 * MIB, "/dev/shm")
    assert room(None, [machine]) == Room(30 * GIB - 6871947673, machine.what)
    assert room(None).bytes == 0


@pytest.mark.parametrize(
    ("limit", "left", "room_left"),
    [
        (200 * MIB, 150 * MIB, 86 * MIB),  # the least margin is 64 MiB
        (1000 * MIB, 500 * MIB, 400 * MIB),
        (1000 * MIB, 99 * MIB, 0),
        (0, 0, 0),
    ],
)
def test_a_margin_is_kept_under_a_limit(limit: int, left: int, room_left: int) -> None:
    assert room(SHM, [MemoryLimit("limit", limit, left)]) == Room(room_left, "limit")


@dataclass(frozen=True)
class Case:
    need: int
    shm: Room = SHM
    disk: Room | None = DISK
    mode: Mode = "auto"
    writers: int = 1


SMALL = Room(120 * MIB, "the container's memory limit")
CASES = [
    (Case(250 * MIB), Choice("shm", 3, "/dev/shm leaves 23 GiB, 3 copies of 250 MiB need 750 MiB")),
    (
        Case(250 * MIB, shm=Room(600 * MIB, "/dev/shm")),
        Choice(
            "shm",
            2,
            "/dev/shm leaves 600 MiB, 3 copies of 250 MiB need 750 MiB: 2 are kept, "
            "a step is skipped where one of them is being saved",
        ),
    ),
    (
        Case(250 * MIB, shm=SMALL),
        Choice(
            "disk",
            3,
            "the container's memory limit leaves 120 MiB, 2 copies of 250 MiB need 500 MiB; "
            "/data leaves 70 GiB, 3 copies of 250 MiB need 750 MiB",
        ),
    ),
    (
        Case(250 * MIB, shm=SMALL, disk=None),
        Choice(
            "off",
            0,
            "the container's memory limit leaves 120 MiB, 2 copies of 250 MiB need 500 MiB; "
            "no directory on disk was given",
        ),
    ),
    (
        Case(40 * GIB),
        Choice(
            "off",
            0,
            "/dev/shm leaves 23 GiB, 2 copies of 40 GiB need 80 GiB; "
            "/data leaves 70 GiB, 2 copies of 40 GiB need 80 GiB",
        ),
    ),
    (
        Case(2 * GIB, writers=8),
        Choice(
            "disk",
            3,
            "/dev/shm leaves 23 GiB, 2 copies of 2 GiB for each of 8 ranks need 32 GiB; "
            "/data leaves 70 GiB, 3 copies of 2 GiB for each of 8 ranks need 48 GiB",
        ),
    ),
    (
        Case(250 * MIB, shm=SMALL, mode="shm"),
        Choice("off", 0, "the container's memory limit leaves 120 MiB, 2 copies of 250 MiB need 500 MiB"),
    ),
    (
        Case(250 * MIB, mode="disk"),
        Choice("disk", 3, "/data leaves 70 GiB, 3 copies of 250 MiB need 750 MiB"),
    ),
    (Case(250 * MIB, mode="disk", disk=None), Choice("off", 0, "no directory on disk was given")),
    (Case(250 * MIB, mode="off"), Choice("off", 0, "snapshots are switched off")),
]


@pytest.mark.parametrize(("case", "choice"), CASES)
def test_where_copies_go(case: Case, choice: Choice) -> None:
    assert decide([Copy(case.need - FILE)], case.shm, case.disk, case.mode, case.writers) == choice


SIZES = st.integers(0, 2000)
MODES: list[Mode] = ["auto", "shm", "disk", "off"]


@given(SIZES, SIZES, st.none() | SIZES, st.sampled_from(MODES), st.integers(1, 8))
def test_no_more_is_taken_than_there_is(
    need: int, shm: int, disk: int | None, mode: Mode, writers: int
) -> None:
    copy = Copy(need * KIB)
    need, shm, disk = copy.bytes, shm * KIB, None if disk is None else disk * KIB
    rooms = {"shm": shm, "disk": disk}
    choice = decide([copy], Room(shm, "a"), None if disk is None else Room(disk, "b"), mode, writers)
    if choice.where == "off":
        assert choice.slots == 0
        asked = [place for where, place in rooms.items() if mode in ("auto", where) and place is not None]
        assert all(2 * need * writers > place for place in asked)
        return
    assert mode in ("auto", choice.where)
    place = rooms[choice.where]
    assert place is not None
    assert choice.slots * need * writers <= place
    assert choice.slots == 3 or 3 * need * writers > place


@given(
    st.lists(st.integers(0, 9000), max_size=9),
    st.integers(1, 200_000),
    st.sampled_from([2, 3]),
)
def test_a_file_takes_no_more_than_was_counted(sizes: list[int], meta: int, slots: int) -> None:
    schema = Schema(tuple(LeafSpec(f"leaf/{n}", "U8", (size,)) for n, size in enumerate(sizes)))
    counted = Copy(schema.data_bytes, meta, len(schema.to_json())).bytes
    assert Layout.of(schema, slots, meta + META_ROOM).file_bytes <= slots * counted


def test_a_file_systems_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = file_room(tmp_path)
    assert found is not None
    assert found.limited_by == str(tmp_path)
    assert found.bytes > 0
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=9, f_bavail=3, f_frsize=4096))
    assert file_room(tmp_path) == Room(12288, str(tmp_path))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096))
    assert file_room(tmp_path) is None  # a tmpfs of size 0 has no bound


def test_this_machine_has_some_room() -> None:
    assert room(file_room(Path("/dev/shm")), memory_limits()).limited_by
