import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.checkpoint import Cause, CheckpointError, FileRecord, Manifest
from ma_training.checkpoint.manifest import rank_file

CREATED = "2026-11-21T14:00:00.000001+00:00"
WORLD = 20
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
metas = st.dictionaries(st.text(), plain, max_size=4)
records = st.builds(FileRecord, st.integers(0), st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
manifests = st.builds(
    Manifest,
    job=st.text(),
    identity=st.text(),
    step=st.integers(0),
    epoch=st.integers(0),
    world_size=st.just(WORLD),
    cause=st.builds(Cause, st.sampled_from(["periodic", "sigterm", "disk-full"]), st.text()),
    created=st.just(CREATED),
    meta=metas,
    ranks=st.dictionaries(st.integers(0, WORLD - 1), metas, max_size=3),
    files=st.builds(
        lambda state, others: {"state.safetensors": state} | others,
        records,
        st.dictionaries(st.integers(0, WORLD - 1).map(rank_file), records, max_size=3),
    ),
)


def a_manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "job": "job-1",
        "identity": "job",
        "step": 500,
        "epoch": 3,
        "world_size": 4,
        "cause": Cause("oom", "the kernel killed rank 1"),
        "created": CREATED,
        "meta": {"loss": 0.25, "größe": ["a", None, True]},
        "ranks": {2: {"rng": [1, 2]}},
        "files": {"state.safetensors": FileRecord(10, "0" * 64), rank_file(2): FileRecord(3, "f" * 64)},
    }
    return Manifest(**(fields | changes))


def resealed(**changes: Any) -> bytes:
    """A manifest of another content whose digest fits: foreign, not damaged."""
    from ma_training.checkpoint.manifest import _digest

    document = json.loads(a_manifest().to_json()) | changes
    document.pop("digest")
    document = {name: value for name, value in document.items() if value is not ...}
    return json.dumps(document | {"digest": _digest(document)}).encode()


@given(manifests)
def test_it_survives_its_file(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json(), "m") == manifest


def test_numbers_that_are_none_survive() -> None:
    meta = {"best": math.inf, "loss": math.nan, "worst": -math.inf}
    read = Manifest.from_json(a_manifest(meta=meta).to_json(), "m").meta
    assert (read["best"], read["worst"]) == (math.inf, -math.inf)
    assert math.isnan(read["loss"])


def test_text_that_is_no_unicode_survives() -> None:
    manifest = a_manifest(job="a\udcff", cause=Cause("exception", "no file: \udc80.txt"))
    assert Manifest.from_json(manifest.to_json(), "m") == manifest


@given(manifests, st.data())
def test_a_changed_byte_is_found_or_changes_nothing(manifest: Manifest, data: st.DataObject) -> None:
    whole = manifest.to_json()
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = Manifest.from_json(bytes(damaged), "m")
    except CheckpointError:
        return
    assert read == manifest  # as where a blank has become a tab


@given(manifests, st.data())
def test_a_torn_one_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    whole = manifest.to_json().rstrip()
    torn = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CheckpointError, match="m: damaged: not JSON"):
        Manifest.from_json(torn, "m")


@given(st.binary() | plain.map(lambda value: json.dumps(value).encode()))
def test_foreign_content_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"^m: "):
        Manifest.from_json(data, "m")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format 2 is of a later version of ma-training, this one reads 1"),
        ({"format": 0}, "its format is 0"),
        ({"format": True}, "its format is True"),
        ({"format": ...}, "its format is None"),
        ({"step": -1}, "step is -1, not a number of at least 0"),
        ({"step": 1.0}, "step is 1.0"),
        ({"step": ...}, "step is missing"),
        ({"world_size": 0}, "world_size is 0"),
        ({"job": 3}, "job is 3, not a text"),
        ({"meta": []}, "meta is [], not an object"),
        ({"cause": {"kind": "OOM!", "text": ""}}, "kind is 'OOM!'"),
        ({"created": "yesterday"}, "created is 'yesterday', not a time in UTC"),
        ({"created": "2026-11-21T14:00:00+08:00"}, "not a time in UTC"),
        ({"created": "2026-11-21T14:00:00"}, "not a time in UTC"),
        ({"ranks": {"4": {}}}, "'4' is no rank of 4"),
        ({"ranks": {"01": {}}}, "'01' is no rank of 4"),
        ({"ranks": {"1": 1}}, "1 is 1, not an object"),
        ({"files": {}}, "state.safetensors is missing"),
    ],
)
def test_another_format_or_content_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        Manifest.from_json(resealed(**changes), "a/manifest.json")
    assert str(caught.value).startswith("a/manifest.json: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "rank-00004.safetensors", "rank-000001.safetensors", "x", ""]
)
def test_no_other_files_are_named(name: str) -> None:
    record = {"bytes": 1, "sha256": "0" * 64}
    with pytest.raises(CheckpointError, match="is no file of a checkpoint of 4 ranks"):
        Manifest.from_json(resealed(files={"state.safetensors": record, name: record}), "m")


@pytest.mark.parametrize("record", [{"bytes": -1, "sha256": "0" * 64}, {"bytes": 1, "sha256": "00"}, 7])
def test_files_have_sizes_and_hashes(record: Any) -> None:
    with pytest.raises(CheckpointError):
        Manifest.from_json(resealed(files={"state.safetensors": record}), "m")


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert Manifest.from_json(resealed(colour="red"), "m") == a_manifest()


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({1: "a"}, "the key 1 in meta is not a string"),
        ({"a": {"b": {(1, 2): 3}}}, "the key (1, 2) in meta/a/b is not a string"),
        ({"a": [{"x": {1}}]}, "meta/a/x holds set"),
        ({"a": b"raw"}, "meta/a holds bytes"),
    ],
)
def test_what_would_not_come_back_as_it_is_is_refused(meta: dict[Any, Any], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        a_manifest(meta=meta).to_json()
    assert said in str(caught.value)


def test_a_meta_that_holds_itself_is_refused() -> None:
    meta: dict[str, Any] = {}
    meta["self"] = meta
    with pytest.raises(CheckpointError, match="not JSON"):
        a_manifest(meta=meta).to_json()


def test_a_writer_does_not_write_what_no_reader_takes() -> None:
    with pytest.raises(CheckpointError, match="'9' is no rank of 4"):
        a_manifest(ranks={9: {}}).to_json()
