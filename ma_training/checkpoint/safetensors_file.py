"""Files of tensors in the safetensors format: 8 bytes of header length, a JSON header, the data.

Written piece by piece from where the tensors are, and hashed on the way; read by mapping. The header
names each tensor's type, shape and place; the places follow one another without a gap, to the end.
"""

import hashlib
import json
import math
import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ma_training.snapshot.leaves import ITEM_SIZES, LeafSpec

from .errors import CheckpointError
from .manifest import FileRecord

Leaf = tuple[LeafSpec, memoryview]  # raw bytes in C order

PIECE = 8 << 20  # bytes written and hashed at once
MAX_HEADER = 100_000_000  # bytes: the reference implementation reads no longer one
METADATA = "__metadata__"

_LENGTH = struct.Struct("<Q")


def write(file: BinaryIO, leaves: Sequence[Leaf], metadata: Mapping[str, str]) -> FileRecord:
    """Appends to ``file``, which is empty. Raises CheckpointError for leaves that contradict themselves."""
    # Wide elements first: each tensor is then aligned to its own, as in files of the reference.
    ordered = sorted(leaves, key=lambda leaf: -ITEM_SIZES[leaf[0].dtype])
    digest = hashlib.sha256()
    size = 0
    for piece in _pieces(_header(ordered, metadata), ordered):
        digest.update(piece)
        file.write(piece)
        size += len(piece)
    return FileRecord(size, digest.hexdigest())


def _pieces(header: bytes, leaves: Iterable[Leaf]) -> Iterator[bytes | memoryview]:
    yield header
    for _, view in leaves:
        if not view.nbytes:  # cannot be cast
            continue
        flat = view.cast("B")
        for start in range(0, len(flat), PIECE):
            yield flat[start : start + PIECE]


def _header(leaves: Sequence[Leaf], metadata: Mapping[str, str]) -> bytes:
    document: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    at = 0
    for spec, view in leaves:
        _check_leaf(spec, view)
        if spec.name in document or spec.name == METADATA:
            raise CheckpointError(f"not saved: two leaves are named {spec.name!r}")
        end = at + spec.nbytes
        document[spec.name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(f"not saved: the name of a leaf is not Unicode: {error}") from None
    data += b" " * (-len(data) % 8)
    if len(data) > MAX_HEADER:
        raise CheckpointError(f"not saved: {len(leaves)} leaves make a header of {len(data)} bytes")
    return _LENGTH.pack(len(data)) + data


def _check_leaf(spec: LeafSpec, view: memoryview) -> None:
    if view.nbytes != spec.nbytes:
        raise CheckpointError(
            f"not saved: leaf {spec.name} has {view.nbytes} bytes, "
            f"{spec.dtype} {list(spec.shape)} has {spec.nbytes}"
        )
    if not view.c_contiguous:
        raise CheckpointError(f"not saved: leaf {spec.name} is not contiguous")


class TensorFile:
    """A file that is mapped, as long as it or one of its leaves is referred to."""

    def __init__(
        self, path: Path, specs: Mapping[str, LeafSpec], places: Mapping[str, slice], data: memoryview
    ) -> None:
        self.path, self.specs = path, specs
        self._places, self._data = places, data

    def leaf(self, name: str) -> memoryview:
        """Its bytes, read-only. Raises CheckpointError for a name that is not in the file."""
        if name not in self._places:
            raise CheckpointError(f"{self.path}: no tensor {name!r}")
        return self._data[self._places[name]]


def open_file(path: Path) -> TensorFile:
    """Maps ``path``. Raises CheckpointError, with what is wrong and where, for a file that does not fit
    the format, and OSError for one that cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size < _LENGTH.size:
            raise CheckpointError(f"{path}: {size} bytes are no safetensors file")
        data = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)
    try:
        specs, places = parse(data)
    except _Malformed as error:
        raise CheckpointError(f"{path}: no safetensors file, or damaged: {error}") from None
    return TensorFile(path, specs, places, data)


class _Malformed(Exception):
    """What is wrong, and where."""


def parse(data: memoryview) -> tuple[dict[str, LeafSpec], dict[str, slice]]:
    """The tensors, and where each is in ``data``, which is the whole file. Raises _Malformed."""
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + length
    if length > MAX_HEADER or start > len(data):
        raise _Malformed(f"a header of {length} bytes in a file of {len(data)}")
    try:
        header = json.loads(bytes(data[_LENGTH.size : start]).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise _Malformed("its header is not a JSON object")
    _check_metadata(header.pop(METADATA, {}))
    entries = sorted(
        (_place(name, entry, len(data) - start), name, _spec(name, entry)) for name, entry in header.items()
    )
    _check_places([(name, place) for place, name, _ in entries], len(data) - start)
    specs = {name: spec for _, name, spec in entries}
    return specs, {name: slice(start + place[0], start + place[1]) for place, name, _ in entries}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Malformed("its metadata is not an object of texts")


def _spec(name: str, entry: Mapping[str, Any]) -> LeafSpec:
    dtype, shape = entry["dtype"], entry["shape"]
    if not name:
        raise _Malformed("a tensor has no name")
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise _Malformed(f"tensor {name!r} has the type {dtype!r:.40}, which is unknown")
    if not isinstance(shape, list) or not all(_is_whole(size) for size in shape):
        raise _Malformed(f"tensor {name!r} has the shape {shape!r:.60}")
    spec = LeafSpec(name, dtype, tuple(shape))
    begin, end = entry["data_offsets"]
    if end - begin != math.prod(shape) * ITEM_SIZES[dtype]:
        raise _Malformed(f"tensor {name!r} is {dtype} {shape!r:.60}, in {end - begin} bytes")
    return spec


def _place(name: str, entry: Any, room: int) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _Malformed(f"tensor {name!r} is not described by type, shape and place")
    place = entry["data_offsets"]
    if not isinstance(place, list) or len(place) != 2 or not all(_is_whole(offset) for offset in place):
        raise _Malformed(f"tensor {name!r} is at {place!r:.60}")
    begin, end = place
    if not begin <= end <= room:
        raise _Malformed(f"tensor {name!r} is at {begin} to {end} of {room} bytes")
    return begin, end


def _check_places(places: Sequence[tuple[str, tuple[int, int]]], room: int) -> None:
    at = 0
    for name, (begin, end) in places:
        if begin != at:
            raise _Malformed(f"tensor {name!r} begins at {begin}, the one before it ends at {at}")
        at = end
    if at != room:
        raise _Malformed(f"the tensors end at {at} of {room} bytes")


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0
