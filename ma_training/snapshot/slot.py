"""One slot of a mapped file, and the two who meet there.

The writer:  claim = itself · fence · is it pinned? then claim = none, and another slot
             · seq = odd · data, meta, length, crc · claim = none · seq = even, last
The keeper:  pin = itself · fence · is it claimed, or seq not as it was? then pin = none, and another state
             · reads · is seq still as it was? else what it read is worthless · pin = none

Why a pinned state is not overwritten. Each stores its own word before it loads the other's, with a full
fence between: of two such pairs at least one load sees the other's store. Whoever sees the other backs
out, with nothing written; where both do, a snapshot is skipped and the keeper looks again. (With odd seq
for the claim, one word less, a pinned state would look overwritten while the writer backs out, and would
be lost if it was killed then.)

Why it would not matter much. The writer stores odd before its first byte, and the keeper loads seq again
after its last: had the fence failed, the keeper would know at the end, and throw away what it read.

Why a dead writer's state is whole. SIGKILL takes effect between two instructions: every store before it
is done and none after it. Seq is the last of a commit, one aligned word. A dead writer's claim is none.
"""

import json
import struct
import threading
import zlib
from dataclasses import dataclass, field
from typing import Any

import xxhash

from . import owner
from .errors import SnapshotError
from .layout import LINE, Layout, Word
from .leaves import Schema

_COMMITTED = struct.Struct("<3Q")
_HIGHEST = 1 << 62  # no job commits so often: a number above it is damage
_CHUNK = 16 << 20  # bytes hashed between two looks at seq


def fence() -> None:
    """Stores above are done before loads and stores below. Taking a lock is a locked instruction on x86.

    A lock of its own each time: one that is shared may be held in another thread while this process forks.
    """
    with threading.Lock():
        pass


class SlotMemory:
    """A slot's words, meta and data: views of the mapped file. Knows no rules but what a state's crc is."""

    def __init__(self, memory: memoryview, layout: Layout, number: int) -> None:
        header, meta, data = layout.header_at(number), layout.meta_at(number), layout.data_at(number)
        self.number = number
        self.words = memory[header : header + LINE].cast("Q")
        self.meta = memory[meta : meta + layout.meta_capacity]
        self.data = memory[data : data + layout.data_bytes]

    @property
    def seq(self) -> int:
        return self.words[Word.SEQ]

    def committed(self) -> tuple[int, int, bytes] | None:
        """(seq, step, meta) of the state that is there; None where there is none, or it is not whole."""
        words = self.words
        seq, step, length = words[Word.SEQ], words[Word.STEP], words[Word.META_LENGTH]
        if seq == 0 or seq & 1 or length > len(self.meta):
            return None
        meta = bytes(self.meta[:length])
        return (seq, step, meta) if words[Word.META_CRC] == crc_of(seq, step, meta) else None

    def checksum(self, seq: int) -> int | None:
        """xxh3_64 of the data; None as soon as the state is no longer the one that ``seq`` was."""
        digest = xxhash.xxh3_64()
        for at in range(0, len(self.data), _CHUNK):
            if self.seq != seq:
                return None
            digest.update(self.data[at : at + _CHUNK])
        return digest.intdigest() if self.seq == seq else None

    def give_up(self) -> None:
        """Of what a dead writer left, or damage. No number is used again: a keeper may still hold it."""
        seq = self.seq
        self.words[Word.SEQ] = seq | 1 if 0 < seq < _HIGHEST else 0

    def release(self) -> None:
        for view in (self.words, self.meta, self.data):
            view.release()


def crc_of(seq: int, step: int, meta: bytes) -> int:
    return zlib.crc32(meta, zlib.crc32(_COMMITTED.pack(seq, step, len(meta))))


@dataclass(slots=True)
class Slot:
    """What `begin` gave a writer: ``data`` is to be filled, each leaf at its place, and then published.

    One that is not published is never read: dropping it gives the state up.
    """

    step: int
    seq: int  # the odd one
    memory: SlotMemory = field(repr=False)

    @property
    def number(self) -> int:
        """From 0. The data of one number is always at one address: tensors over it can be kept."""
        return self.memory.number

    @property
    def data(self) -> memoryview:
        """Writable, ``schema.data_bytes`` long."""
        return self.memory.data[:]

    @classmethod
    def claim(cls, memory: SlotMemory, writer: int, step: int, seq: int) -> "Slot | None":
        """Takes a slot for a state; None where a keeper has it, which then notices nothing."""
        words = memory.words
        words[Word.CLAIM] = writer
        fence()
        if owner.is_alive(words[Word.PIN]):
            words[Word.CLAIM] = 0
            return None
        words[Word.SEQ] = seq
        fence()  # a large memcpy stores past the caches, in any order
        return cls(step, seq, memory)

    def publish(self, meta: bytes) -> None:
        """Makes the state the newest. ``meta`` is a JSON object.

        Raises SnapshotError where it does not fit, and where another state was begun in this slot since.
        """
        memory, words, seq = self.memory, self.memory.words, self.seq + 1
        if len(meta) > len(memory.meta):
            raise SnapshotError(
                f"step {self.step}: {len(meta)} bytes of meta, the snapshot has room for {len(memory.meta)}"
            )
        if words[Word.SEQ] != self.seq:
            raise SnapshotError(f"step {self.step}: published already, or its slot was taken for another")
        memory.meta[: len(meta)] = meta
        words[Word.STEP] = self.step
        words[Word.META_LENGTH] = len(meta)
        words[Word.META_CRC] = crc_of(seq, self.step, meta)
        words[Word.CLAIM] = 0
        fence()  # as in `claim`
        words[Word.SEQ] = seq


@dataclass(frozen=True, slots=True)
class Stored:
    """A complete state as it was found. A living writer may overwrite it unless it is pinned."""

    step: int
    meta: dict[str, Any]
    schema: Schema = field(repr=False)
    seq: int
    verified: bool  # its data has the checksum that was stored for it
    memory: SlotMemory = field(repr=False)

    def is_there(self) -> bool:
        """Whether nothing has been written over it yet."""
        return self.memory.seq == self.seq

    def leaf(self, name: str) -> memoryview:
        """The bytes of a leaf in the shared memory, read-only: for who holds the pin."""
        start, end = self.schema.place(name)
        return self.memory.data[start:end].toreadonly()

    def read_into(self, name: str, buffer: memoryview) -> None:
        """Copies a leaf out. Raises SnapshotError where it was overwritten meanwhile."""
        source, target = self.leaf(name), buffer.cast("B")
        if len(target) != len(source):
            raise SnapshotError(f"leaf {name!r} has {len(source)} bytes, the buffer for it {len(target)}")
        target[:] = source
        if not self.is_there():
            raise SnapshotError(f"step {self.step} was overwritten while {name!r} was read: pin it first")

    def pin(self) -> bool:
        """Keeps the writer off it; False where it is gone, or held by another, and nothing was done."""
        words, mine = self.memory.words, owner.this_process()
        if owner.is_alive(words[Word.PIN]):
            return False
        words[Word.PIN] = mine
        fence()
        if self.is_there() and not owner.is_alive(words[Word.CLAIM]):
            return True
        words[Word.PIN] = 0
        return False

    def unpin(self) -> bool:
        """Lets the writer have it again; False where what was read since `pin` is not to be trusted."""
        words, mine = self.memory.words, owner.this_process()
        there = self.is_there() and words[Word.PIN] == mine
        if words[Word.PIN] == mine:
            words[Word.PIN] = 0
        return there

    def store_checksum(self) -> int | None:
        """Computes and stores it, so that later damage is found; None where the state is gone."""
        checksum = self.memory.checksum(self.seq)
        if checksum is not None:
            self.memory.words[Word.CHECKSUM] = checksum
            self.memory.words[Word.CHECKSUM_SEQ] = self.seq
        return checksum


def stored(memory: SlotMemory, schema: Schema, verify: bool) -> Stored | None:
    """The state in a slot; None where there is none that is whole, or whose data is not what it was."""
    committed = memory.committed()
    if committed is None:
        return None
    seq, step, text = committed
    verified = False
    if verify and memory.words[Word.CHECKSUM_SEQ] == seq:
        verified = memory.checksum(seq) == memory.words[Word.CHECKSUM]
        if not verified:
            return None
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):  # its crc is right: it is what the writer published
        return None
    return Stored(step, meta, schema, seq, verified, memory) if isinstance(meta, dict) else None
