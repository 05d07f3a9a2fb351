"""A state that is being read stays; one whose data was damaged is not taken."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ma_training.snapshot import Segment, owner
from ma_training.snapshot import slot as slot_module
from ma_training.snapshot.layout import Word

from ..snapshots import SCHEMA, commit, content, steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rank-0.snap"


@pytest.fixture
def segment(path: Path) -> Iterator[Segment]:
    segment = Segment.create(path, SCHEMA, slots=3, meta_capacity=100, rank=3, attempt=2, job="digits")
    yield segment
    segment.close()


# Pins


def test_a_pinned_state_is_not_overwritten(segment: Segment, path: Path) -> None:
    keeper = Segment.open(path)
    commit(segment, 1)
    (state,) = keeper.states()
    assert state.pin()
    assert [commit(segment, step) for step in range(2, 8)] == [1, 2, 1, 2, 1, 2]
    assert content(state)
    assert not state.pin()  # a pin is one reader's
    assert state.unpin()
    assert commit(segment, 8) == 0
    assert not state.unpin()
    keeper.close()


def test_where_no_slot_is_free_the_step_is_skipped(path: Path) -> None:
    segment = Segment.create(path, SCHEMA, slots=2)
    commit(segment, 1)
    (state,) = segment.states()
    assert state.pin()
    assert commit(segment, 2) == 1
    assert commit(segment, 3) is None
    assert steps(segment) == [2, 1]
    assert state.unpin()
    assert commit(segment, 4) == 0
    segment.close()


PIN = """
import os, signal, sys
from pathlib import Path
from ma_training.snapshot import Segment
assert all(state.pin() for state in Segment.open(Path(sys.argv[1])).states())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_dead_keepers_pins_hold_nothing(path: Path) -> None:
    segment = Segment.create(path, SCHEMA, slots=2)
    commit(segment, 1)
    commit(segment, 2)
    killed = subprocess.run([sys.executable, "-c", PIN, str(path)])
    assert killed.returncode == -9
    assert all(memory.words[Word.PIN] for memory in segment._slots)
    state = segment.states()[1]
    assert state.pin()
    assert state.unpin()
    assert [commit(segment, step) for step in (3, 4)] == [0, 1]
    segment.close()


def test_a_pid_that_is_used_again_is_another_process() -> None:
    assert owner.is_alive(owner.this_process())
    assert owner.is_this_process(owner.this_process())
    assert owner.pid_of(owner.this_process()) == os.getpid()
    assert not owner.is_alive(owner.this_process() - 1)
    assert not owner.is_alive(0)
    assert not owner.is_alive((1 << 64) - 1)


class Interleaved:
    """Does something once, at the next fence: the moment at which the other side may come between."""

    def __init__(self, action: Any) -> None:
        self.action, self.result = action, None

    def __call__(self) -> None:
        action, self.action = self.action, lambda: self.result
        self.result = action()


def test_the_writer_backs_out_where_the_keeper_was_first(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    oldest = segment.states()[-1]
    words = oldest.memory.words

    def pin() -> None:
        words[Word.PIN] = owner.this_process()
        assert oldest.is_there()  # the writer has left no trace that would deter the keeper for good

    monkeypatch.setattr(slot_module, "fence", Interleaved(pin))
    assert commit(segment, 4) == 1  # not 0, that it had chosen
    assert steps(segment) == [4, 3, 1]
    assert words[Word.CLAIM] == 0
    assert oldest.unpin()


@pytest.mark.parametrize("word", [Word.CLAIM, Word.SEQ])
def test_the_keeper_lets_go_where_the_writer_was_first(
    segment: Segment, monkeypatch: pytest.MonkeyPatch, word: int
) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    oldest = segment.states()[-1]
    words = oldest.memory.words
    values = {Word.CLAIM: owner.this_process(), Word.SEQ: segment._next()}
    monkeypatch.setattr(slot_module, "fence", Interleaved(lambda: words.__setitem__(word, values[word])))
    assert not oldest.pin()
    assert words[Word.PIN] == 0
    assert commit(segment, 4) == oldest.memory.number


def test_a_dead_writers_claim_holds_nothing(segment: Segment) -> None:
    """It was killed after its claim and before its first byte."""
    commit(segment, 1)
    (state,) = segment.states()
    state.memory.words[Word.CLAIM] = owner.this_process() - 1
    assert state.pin()
    assert state.unpin()


def test_had_both_missed_each_other_the_keeper_finds_out(segment: Segment) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    oldest = segment.states()[-1]
    assert oldest.pin()
    pin, oldest.memory.words[Word.PIN] = oldest.memory.words[Word.PIN], 0
    slot = segment.begin(4)
    oldest.memory.words[Word.PIN] = pin
    assert slot is not None and slot.number == oldest.memory.number
    assert not oldest.unpin()
    assert oldest.memory.words[Word.PIN] == 0


# Checksums


def test_a_checksum_is_of_one_state(segment: Segment) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    for state in segment.states()[:2]:
        assert state.store_checksum() is not None
    assert {state.step: state.verified for state in segment.states(verify=True)} == {
        3: True,
        2: True,
        1: False,
    }
    assert not any(state.verified for state in segment.states())
    for step in (4, 5, 6):
        commit(segment, step)
    assert {state.step: state.verified for state in segment.states(verify=True)} == {
        6: False,
        5: False,
        4: False,
    }


def test_damaged_data_is_found_and_the_good_state_kept(segment: Segment) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    for state in segment.states():
        state.store_checksum()
    newest, second, _ = segment.states()
    newest.memory.data[newest.memory.data.nbytes - 1] ^= 1
    second.memory.data[0] ^= 1
    assert steps(segment, verify=True) == [1]
    assert [commit(segment, step) for step in (4, 5)] == [1, 2]  # never that of step 1
    assert steps(segment, verify=True) == [5, 4, 1]


def test_a_damaged_meta_is_not_kept_for_the_last_good_state(segment: Segment, path: Path) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    segment.states()[0].memory.meta[0] ^= 1
    segment._writer[0] = 0  # its writer has died, and the next one does not look before it writes
    other = Segment.open(path)
    assert [commit(other, step) for step in (4, 5)] == [2, 0]
    assert steps(other) == [5, 4, 2]
    other.close()


def test_a_number_that_no_job_reaches_is_damage(segment: Segment, path: Path) -> None:
    for step in (1, 2, 3):
        commit(segment, step)
    segment.states()[0].memory.words[Word.SEQ] = (1 << 64) - 1
    segment._writer[0] = 0
    other = Segment.open(path)
    assert [commit(other, step) for step in (4, 5)] == [2, 0]
    assert steps(other) == [5, 4, 2]
    other.close()


def test_a_checksum_of_what_is_being_overwritten_is_none(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_module, "_CHUNK", 16)
    commit(segment, 1)
    (state,) = segment.states()
    real = slot_module.xxhash.xxh3_64

    class Hash:
        def __init__(self) -> None:
            self.real = real()

        def update(self, data: memoryview) -> None:
            state.memory.words[Word.SEQ] = 99
            self.real.update(data)

    monkeypatch.setattr(slot_module.xxhash, "xxh3_64", Hash)
    assert state.store_checksum() is None
    assert state.memory.words[Word.CHECKSUM_SEQ] == 0
