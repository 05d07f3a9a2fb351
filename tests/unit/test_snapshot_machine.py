"""A writer that dies and comes again and a keeper, in any order: what is promised holds after each step."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ma_training.snapshot import Segment, Stored

from ..snapshots import SCHEMA, commit, content, steps


class Snapshots(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="ma-training-test-"))
        self.path = self.directory / "rank-0.snap"
        self.committed: list[int] = []
        self.pinned: dict[int, Stored] = {}  # by slot
        self.step = 0

    @initialize(slots=st.integers(2, 4))
    def create(self, slots: int) -> None:
        self.writer = Segment.create(self.path, SCHEMA, slots=slots)
        self.keeper = Segment.open(self.path)
        self.slots = slots

    @rule(back=st.integers(0, 3))
    def commit(self, back: int) -> None:
        """``back``: the job may go back to an earlier step, and pass it again."""
        self.step = max(0, self.step + 1 - back)
        newest = self.writer.states()[:1]
        taken = {state.memory.number for state in newest} | set(self.pinned)
        number = commit(self.writer, self.step)
        assert (number is None) == (len(taken) == self.slots)
        if number is not None:
            assert number not in taken
            self.committed.append(self.step)

    @rule(bytes_written=st.integers(0, SCHEMA.data_bytes))
    def die_in_mid_copy(self, bytes_written: int) -> None:
        slot = self.writer.begin(self.step + 1)
        if slot is not None:
            assert slot.number not in self.pinned
            slot.data[:bytes_written] = b"\xff" * bytes_written
        self.come_again()

    @rule()
    def come_again(self) -> None:
        self.writer.close()
        self.writer = Segment.open(self.path)

    @rule(which=st.integers(0, 3))
    def pin(self, which: int) -> None:
        states = self.keeper.states()
        if which < len(states):
            state = states[which]
            assert state.pin() == (state.memory.number not in self.pinned)
            self.pinned.setdefault(state.memory.number, state)

    @precondition(lambda self: self.pinned)
    @rule(which=st.integers(0, 3), checksum=st.booleans())
    def unpin(self, which: int, checksum: bool) -> None:
        _, state = self.pinned.popitem()
        assert not checksum or state.store_checksum() is not None
        assert content(state)
        assert state.unpin()

    @invariant()
    def the_newest_is_there(self) -> None:
        if self.committed:
            assert steps(self.keeper, verify=True)[0] == self.committed[-1]
        elif hasattr(self, "keeper"):
            assert self.keeper.states() == []

    @invariant()
    def what_is_pinned_is_as_it_was(self) -> None:
        assert all(state.is_there() and content(state) for state in self.pinned.values())

    def teardown(self) -> None:
        for state in self.pinned.values():
            state.unpin()
        if hasattr(self, "keeper"):
            self.writer.close()
            self.keeper.close()
        shutil.rmtree(self.directory)


TestSnapshots = Snapshots.TestCase
