"""Where things lie in a snapshot's file.

    0      header            what never changes once the file is there; has a checksum of its own
    3072   writer            the process that may write states: see `owner`
    4096   slot headers      eight words on one cache line each
    8192   schema            JSON
           meta, one a slot  JSON, up to ``meta_capacity`` bytes
           data, one a slot  begins on a page, as cudaHostRegister wants it

All numbers are little-endian u64. A slot's words are read and written one aligned word at a time
(`memoryview.cast("Q")` does it in one instruction; `struct` goes byte by byte). A machine of the other
byte order finds no magic number.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

from .errors import SnapshotError
from .leaves import MAX_BYTES, Schema, aligned

PAGE = 4096
LINE = 64
VERSION = 1
MAGIC = b"MA-SNAP\n"
MIN_SLOTS, MAX_SLOTS = 2, PAGE // LINE
MAX_META = 1 << 30
MAX_SCHEMA = 1 << 30
WRITER_AT = 3072
HEADERS_AT = PAGE
SCHEMA_AT = 2 * PAGE

# magic, version, slots, meta capacity, data bytes, schema offset, length and crc, rank, attempt, job
_FIELDS = struct.Struct("<8s9Q32s")
_CRC = struct.Struct("<Q")
HEADER_BYTES = _FIELDS.size + _CRC.size


class Word:
    """A slot's header, in words."""

    SEQ = 0  # even: a complete state, the higher the newer; odd: being written, or given up; 0: never used
    STEP = 1
    META_LENGTH = 2
    META_CRC = 3  # crc32 of SEQ, STEP, META_LENGTH and the meta: words of two states never pass for one
    CHECKSUM = 4  # xxh3_64 of the data
    CHECKSUM_SEQ = 5  # the seq that CHECKSUM was computed for
    PIN = 6  # the process that is reading: see `owner`
    CLAIM = 7  # the process that is about to write, or does


def job_digest(job: str) -> bytes:
    return hashlib.sha256(job.encode(errors="surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's fixed part. ``job`` is a sha256; ``attempt`` the one that made the file."""

    slots: int
    meta_capacity: int
    data_bytes: int
    schema_bytes: int
    schema_crc: int
    rank: int
    attempt: int
    job: bytes

    @classmethod
    def of(
        cls, schema: Schema, slots: int, meta_capacity: int, rank: int = 0, attempt: int = 0, job: str = ""
    ) -> "Layout":
        """Raises SnapshotError where a number is out of its range."""
        text = schema.to_json().encode()
        digest = job_digest(job)
        layout = cls(
            slots, meta_capacity, schema.data_bytes, len(text), zlib.crc32(text), rank, attempt, digest
        )
        if complaint := layout._complaint():
            raise SnapshotError(f"no such snapshot can be made: {complaint}")
        return layout

    @property
    def file_bytes(self) -> int:
        return self.data_at(self.slots)

    def header_at(self, slot: int) -> int:
        return HEADERS_AT + LINE * slot

    def meta_at(self, slot: int) -> int:
        return SCHEMA_AT + aligned(self.schema_bytes) + aligned(self.meta_capacity) * slot

    def data_at(self, slot: int) -> int:
        return aligned(self.meta_at(self.slots), PAGE) + aligned(self.data_bytes, PAGE) * slot

    def encode(self) -> bytes:
        fields = _FIELDS.pack(
            MAGIC,
            VERSION,
            self.slots,
            self.meta_capacity,
            self.data_bytes,
            SCHEMA_AT,
            self.schema_bytes,
            self.schema_crc,
            self.rank,
            self.attempt,
            self.job,
        )
        return fields + _CRC.pack(zlib.crc32(fields))

    @classmethod
    def decode(cls, header: bytes) -> "Layout":
        """Raises SnapshotError for what is no header, is damaged, or is of another version."""
        if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
            raise SnapshotError("not a snapshot")
        fields = header[: _FIELDS.size]
        (crc,) = _CRC.unpack(header[_FIELDS.size : HEADER_BYTES])
        _, version, slots, meta, data, schema_at, *rest = _FIELDS.unpack(fields)
        if version != VERSION:  # first: another version may keep its checksum elsewhere
            raise SnapshotError(f"format version {version} found, version {VERSION} expected")
        layout = cls(slots, meta, data, *rest)
        if crc != zlib.crc32(fields) or schema_at != SCHEMA_AT or layout._complaint():
            raise SnapshotError("its header is damaged")
        return layout

    def _complaint(self) -> str:
        ranges = {
            "slots": (self.slots, MIN_SLOTS, MAX_SLOTS),
            "bytes of meta": (self.meta_capacity, 1, MAX_META),
            "bytes of data": (self.data_bytes, 0, MAX_BYTES),
            "bytes of schema": (self.schema_bytes, 1, MAX_SCHEMA),
            "as rank": (self.rank, 0, 1 << 32),
            "as attempt": (self.attempt, 0, 1 << 32),
        }
        for what, (value, least, most) in ranges.items():
            if not least <= value <= most:
                return f"{value} {what}, {least} to {most} are possible"
        return ""
