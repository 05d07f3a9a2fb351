import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize, safe_open
from safetensors.numpy import save

from ma_training.checkpoint import CheckpointError, Leaf, open_file, safetensors_file
from ma_training.checkpoint.safetensors_file import parse, write
from ma_training.snapshot.leaves import ITEM_SIZES, LeafSpec
from tests.checkpoints import leaf


@st.composite
def some_leaves(draw: st.DrawFn) -> list[Leaf]:
    names = draw(st.lists(st.text(min_size=1).filter(lambda name: name != "__metadata__"), unique=True))
    return [(spec, memoryview(draw(contents(spec)))) for spec in map(draw, map(specs, names))]


def specs(name: str) -> st.SearchStrategy[LeafSpec]:
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    return st.builds(LeafSpec, st.just(name), st.sampled_from(sorted(ITEM_SIZES)), shapes)


def contents(spec: LeafSpec) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=spec.nbytes, max_size=spec.nbytes)


leaves = some_leaves()


def file_of(found: list[Leaf], metadata: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    write(file, found, metadata or {})
    return file.getvalue()


def with_header(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@given(leaves)
def test_the_reference_reads_our_files(found: list[Leaf]) -> None:
    read = dict(deserialize(file_of(found, {"format": "pt"})))
    assert {
        name: (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])) for name, entry in read.items()
    } == {spec.name: (spec.dtype, spec.shape, bytes(view)) for spec, view in found}


@given(leaves)
def test_we_read_our_files(found: list[Leaf]) -> None:
    data = memoryview(file_of(found, {"format": "pt"}))
    read, places = parse(data)
    assert read == {spec.name: spec for spec, _ in found}
    assert {name: bytes(data[place]) for name, place in places.items()} == {
        spec.name: bytes(view) for spec, view in found
    }


@given(leaves)
def test_tensors_are_aligned_to_their_elements(found: list[Leaf]) -> None:
    _, places = parse(memoryview(file_of(found)))
    assert all(places[spec.name].start % ITEM_SIZES[spec.dtype] == 0 for spec, view in found if view.nbytes)


def test_we_read_files_of_the_reference(tmp_path: Path) -> None:
    import numpy as np

    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7), "none": np.zeros((0, 3))}
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(save(arrays, {"made": "elsewhere"}))
    file = open_file(path)
    assert file.specs["a"] == LeafSpec("a", "F32", (2, 3))
    assert {name: bytes(file.leaf(name)) for name in file.specs} == {
        name: array.tobytes() for name, array in arrays.items()
    }


def test_safe_open_reads_our_files(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    path.write_bytes(file_of([leaf("model/weight", 1.5, 2.5)], {"format": "pt", "step": "500"}))
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt", "step": "500"}
        assert file.get_tensor("model/weight").tolist() == [1.5, 2.5]


def test_large_tensors_are_written_in_pieces_and_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    class Pieces(io.BytesIO):
        longest = 0

        def write(self, piece: Any) -> int:
            self.longest = max(self.longest, len(piece))
            return super().write(piece)

    monkeypatch.setattr(safetensors_file, "PIECE", 1000)
    found = [leaf("a", *range(900)), leaf("b", *range(251))]
    file = Pieces()
    record = write(file, found, {})
    assert file.longest == 1000
    assert record.size == len(file.getvalue())
    assert record.sha256 == hashlib.sha256(file.getvalue()).hexdigest()
    data = memoryview(file.getvalue())
    assert bytes(data[parse(data)[1]["b"]]) == bytes(found[1][1])


@given(leaves, st.data())
def test_damage_is_refused_or_leaves_tensors_that_fit(found: list[Leaf], data: st.DataObject) -> None:
    damaged = bytearray(file_of(found))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read, places = parse(memoryview(damaged))
    except safetensors_file._Malformed:
        return
    # Damage to the data, or to a name, is the hash's to find; nothing may lead out of the file.
    for name, place in places.items():
        assert 8 <= place.start <= place.stop <= len(damaged)
        assert place.stop - place.start == read[name].nbytes


@given(leaves, st.data())
def test_a_torn_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, found: list[Leaf], data: st.DataObject
) -> None:
    whole = file_of(found)
    path = tmp_path_factory.getbasetemp() / "torn.safetensors"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError, match=r"torn\.safetensors: "):
        open_file(path)


@given(st.binary(max_size=100))
def test_foreign_content_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "foreign.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        open_file(path)


A = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes are no safetensors file"),
        (b"1234567", "7 bytes are no safetensors file"),
        (with_header({}, length=100), "a header of 100 bytes in a file of 10"),
        (with_header({}, length=2**64 - 1), "a header of 18446744073709551615 bytes"),
        (with_header(b"{"), "its header is not JSON"),
        (with_header(b"\xff\xff"), "its header is not JSON"),
        (with_header(b"[" * 100_000), "its header is not JSON"),
        (with_header([]), "its header is not a JSON object"),
        (with_header(b'{"a": 1, "a": 2}'), "a name occurs twice"),
        (with_header({"": A}, b"12"), "a tensor has no name"),
        (with_header({"a": 1}), "tensor 'a' is not described by"),
        (with_header({"a": {"dtype": "U8", "shape": []}}), "tensor 'a' is not described by"),
        (with_header({"a": A | {"dtype": "X9"}}, b"12"), "tensor 'a' has the type 'X9'"),
        (with_header({"a": A | {"dtype": ["U8"]}}, b"12"), "has the type"),
        (with_header({"a": A | {"shape": [-2]}}, b"12"), "tensor 'a' has the shape [-2]"),
        (with_header({"a": A | {"shape": [True, 2]}}, b"12"), "has the shape"),
        (with_header({"a": A | {"shape": [3]}}, b"12"), "tensor 'a' is U8 [3], in 2 bytes"),
        (with_header({"a": A | {"shape": [10**300, 10**300]}}, b"12"), "in 2 bytes"),
        (with_header({"a": A | {"data_offsets": [0, 3]}}, b"12"), "tensor 'a' is at 0 to 3 of 2 bytes"),
        (with_header({"a": A | {"data_offsets": [2, 0]}}, b"12"), "tensor 'a' is at 2 to 0 of 2 bytes"),
        (with_header({"a": A | {"data_offsets": [-2, 0]}}, b"12"), "tensor 'a' is at [-2, 0]"),
        (with_header({"a": A | {"data_offsets": [0]}}, b"12"), "tensor 'a' is at [0]"),
        (with_header({"a": A, "b": A}, b"12"), "tensor 'b' begins at 0, the one before it ends at 2"),
        (with_header({"a": A, "b": A | {"data_offsets": [3, 5]}}, b"12345"), "'b' begins at 3"),
        (with_header({"a": A}, b"123"), "the tensors end at 2 of 3 bytes"),
        (with_header({"__metadata__": {"a": 1}}), "its metadata is not an object of texts"),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        open_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def bytes_of(size: int) -> memoryview:
    return memoryview(bytes(size))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([(LeafSpec("a", "F32", (2,)), bytes_of(7))], "leaf a has 7 bytes, F32 [2] has 8"),
        ([(LeafSpec("a", "U8", (2,)), memoryview(bytes(4))[::2])], "leaf a is not contiguous"),
        ([(LeafSpec("a", "U8", ()), bytes_of(1)), (LeafSpec("a", "I8", ()), bytes_of(1))], "are named 'a'"),
        ([(LeafSpec("__metadata__", "U8", ()), bytes_of(1))], "are named '__metadata__'"),
        ([(LeafSpec("\udc80", "U8", ()), bytes_of(1))], "the name of a leaf is not Unicode"),
    ],
)
def test_leaves_that_contradict_themselves_are_not_written(found: list[Leaf], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        file_of(found)
    assert said in str(caught.value)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(file_of([]))
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match="symbolic links"):
        open_file(tmp_path / "link")


def test_leaves_are_read_only_and_known_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(file_of([leaf("a", 1.0)]))
    file = open_file(path)
    assert file.leaf("a").readonly
    with pytest.raises(CheckpointError, match="no tensor 'b'"):
        file.leaf("b")


def test_a_leaf_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(file_of([leaf("a", 1.0)]))
    view = open_file(path).leaf("a")
    path.unlink()
    assert view.cast("f")[0] == 1.0
