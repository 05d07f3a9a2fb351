"""One rank's states in shared memory: a file in /dev/shm that outlives whoever writes to it.

The worker creates it, or opens the one that its predecessor left, and writes:

    slot = segment.begin(step)        None: all slots are in use; this step is skipped
    slot.data[start:end] = ...        each leaf at its place in the schema
    slot.publish(meta)

The keeper (the agent, or its process that saves) opens it too, and reads:

    for state in segment.states():    newest first
        if state.pin():
            state.store_checksum()
            ...                       state.leaf(name)
            good = state.unpin()
"""

import os
import zlib
from mmap import mmap
from pathlib import Path

from . import owner
from .errors import SnapshotError
from .layout import HEADER_BYTES, SCHEMA_AT, WRITER_AT, Layout, Word
from .leaves import Schema
from .memory_file import make_file, map_file, open_file
from .slot import Slot, SlotMemory, Stored, stored

META_CAPACITY = 64 << 10  # bytes; Python's and NumPy's random states as JSON take 15 KB


class Segment:
    """Made by `create` and `open`. One process at a time writes; any number may read."""

    def __init__(
        self, path: Path, mapped: mmap, layout: Layout, schema: Schema, inode: tuple[int, int] | None = None
    ) -> None:
        """``inode``: device and number of the file, where it was there before."""
        self.path, self.layout, self.schema = path, layout, schema
        self._mapped, self._inode = mapped, inode
        self._memory = memoryview(mapped)
        self._writer = self._memory[WRITER_AT : WRITER_AT + 8].cast("Q")
        self._slots = [SlotMemory(self._memory, layout, number) for number in range(layout.slots)]
        self._rotten: set[int] = set()  # seqs whose data was found not to be what it was

    @classmethod
    def create(
        cls,
        path: Path,
        schema: Schema,
        *,
        slots: int,
        meta_capacity: int = META_CAPACITY,
        rank: int = 0,
        attempt: int = 0,
        job: str = "",
    ) -> "Segment":
        """Makes the file, all of it in memory, and gives it its name at once; an older one is gone then.

        Raises SnapshotError where there is no room, naming what is needed and what is free.
        """
        layout = Layout.of(schema, slots, meta_capacity, rank, attempt, job)
        text = schema.to_json().encode()

        def fill(mapped: mmap) -> None:
            mapped[SCHEMA_AT : SCHEMA_AT + len(text)] = text
            mapped[:HEADER_BYTES] = layout.encode()

        return cls(path, make_file(path, layout.file_bytes, fill), layout, schema)

    @classmethod
    def open(cls, path: Path) -> "Segment":
        """The one at ``path``. Raises SnapshotError for a file that is foreign, truncated or damaged."""
        descriptor = open_file(path)
        try:
            # Read, not mapped, until its size is known to be right: that raises no SIGBUS.
            layout = Layout.decode(os.pread(descriptor, HEADER_BYTES, 0))
            mapped = map_file(descriptor, layout.file_bytes)
            file = os.fstat(descriptor)
            return cls(path, mapped, layout, _schema(mapped, layout), (file.st_dev, file.st_ino))
        except SnapshotError as error:
            raise SnapshotError(f"cannot use {path}: {error}") from None
        finally:
            os.close(descriptor)

    def is_there(self) -> bool:
        """Whether the file that was opened at ``path`` still is the one there."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    def begin(self, step: int) -> Slot | None:
        """A slot for a new state: never the newest complete one, never a pinned one, the oldest of the rest.

        None where there is no such slot. Raises SnapshotError where a living process writes here already.
        """
        if not 0 <= step < 1 << 64:
            raise SnapshotError(f"a snapshot of step {step}: steps are numbers from 0 up")
        self._claim()
        for memory in self._candidates():
            if slot := Slot.claim(memory, self._writer[0], step, self._next()):
                return slot
        return None

    def states(self, *, verify: bool = False) -> list[Stored]:
        """The complete ones, newest first.

        ``verify`` computes the checksum of those for which one was stored, and leaves out what differs.
        """
        found = [state for memory in self._slots if (state := self._stored(memory, verify))]
        return sorted(found, key=lambda state: state.seq, reverse=True)

    def close(self) -> None:
        """The file stays. Views of its data may still be in use: the mapping goes with the last of them."""
        self._writer.release()
        for memory in self._slots:
            memory.release()
        self._memory.release()
        try:
            self._mapped.close()
        except BufferError:
            pass

    def _claim(self) -> None:
        """An abandoned worker may wake up beside its successor: while the first lives, no other writes."""
        if owner.is_this_process(self._writer[0]):
            return
        if owner.is_alive(self._writer[0]):
            pid = owner.pid_of(self._writer[0])
            raise SnapshotError(f"process {pid} writes to {self.path} already\nhint: create a new file")
        self._writer[0] = owner.this_process()
        for memory in self._slots:
            if not memory.committed():
                memory.give_up()

    def _candidates(self) -> list[SlotMemory]:
        """Slots that hold nothing of worth first, then by age."""
        by_worth = sorted(self._slots, key=self._worth)
        rest = by_worth[:-1] if self._worth(by_worth[-1]) else by_worth
        return [memory for memory in rest if not owner.is_alive(memory.words[Word.PIN])]

    def _worth(self, memory: SlotMemory) -> int:
        seq = memory.seq
        return 0 if seq & 1 or seq in self._rotten else seq

    def _next(self) -> int:
        """An odd number above all there were, those of states that were given up too."""
        return (max(slot.seq for slot in self._slots) + 1) | 1

    def _stored(self, memory: SlotMemory, verify: bool) -> Stored | None:
        seq = memory.seq
        state = stored(memory, self.schema, verify)
        if state is None and memory.seq == seq:
            self._rotten.add(seq)  # begin takes it rather than the last good one
        return state


def _schema(mapped: mmap, layout: Layout) -> Schema:
    text = mapped[SCHEMA_AT : SCHEMA_AT + layout.schema_bytes]
    if zlib.crc32(text) != layout.schema_crc:
        raise SnapshotError("its schema is damaged")
    schema = Schema.from_json(text)
    if schema.data_bytes != layout.data_bytes:
        raise SnapshotError(
            f"its schema is of {schema.data_bytes} bytes, its header says {layout.data_bytes}"
        )
    return schema
