import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from ma_training.checkpoint import (
    Cause,
    CheckpointError,
    CheckpointStore,
    NotFinite,
    RankState,
    making,
    read_entry,
    verify,
    write_checkpoint,
    writer,
)
from tests.checkpoints import content, leaf, state, written


def test_a_checkpoint_has_this_layout(tmp_path: Path) -> None:
    root = tmp_path / "runs" / "checkpoints" / "digits"
    path = write_checkpoint(root, state(500, cause=Cause("oom", "rank 1")))
    assert path == root / "step-000000500"
    assert sorted(os.listdir(path)) == [
        "manifest.json",
        "rank-00000.safetensors",
        "rank-00001.safetensors",
        "state.safetensors",
    ]
    assert sorted(os.listdir(root)) == ["latest", "step-000000500"]
    assert (root / "latest").read_text() == "step-000000500\n"
    manifest = read_entry(path).manifest
    assert (manifest.step, manifest.epoch, manifest.world_size) == (500, 5, 2)
    assert (manifest.job, manifest.identity) == ("digits-1", "digits")
    assert manifest.cause == Cause("oom", "rank 1")
    assert manifest.ranks == {0: {"rank": 0}, 1: {"rank": 1}}
    assert verify(path, manifest) == []


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "new" / "root", state())
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}
    assert {directory.stat().st_mode & 0o777 for directory in (path, path.parent)} == {0o700}


def test_everyone_can_read_it(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, state(7))
    with safe_open(path / "state.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt", "step": "7"}
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118
            "model/weight": [7, 2, 3],
            "optimizer/momentum": [7],
        }
    assert json.loads((path / "manifest.json").read_text())["meta"] == {"step": 7, "epoch": 0}


def test_ranks_without_leaves_have_no_file(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, state(ranks={1: RankState({"rng": [1, 2]})}))
    assert sorted(os.listdir(path)) == ["manifest.json", "state.safetensors"]
    assert read_entry(path).manifest.ranks == {1: {"rng": [1, 2]}}


def test_a_second_one_of_a_step_replaces_nothing(tmp_path: Path) -> None:
    (first,) = written(tmp_path, 5)
    before = content(first)
    again = [write_checkpoint(tmp_path, state(5, cause=Cause("sigterm"))) for _ in range(2)]
    assert [path.name for path in again] == ["step-000000005-2", "step-000000005-3"]
    assert content(first) == before
    assert (tmp_path / "latest").read_text() == "step-000000005-3\n"


def test_a_file_of_that_name_is_not_replaced_either(tmp_path: Path) -> None:
    (tmp_path / "step-000000005").write_text("mine")
    assert write_checkpoint(tmp_path, state(5)).name == "step-000000005-2"
    assert (tmp_path / "step-000000005").read_text() == "mine"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_state_that_is_not_finite_is_not_saved(tmp_path: Path, bad: float) -> None:
    written(tmp_path, 1)
    before = content(tmp_path)
    poisoned = state(
        2,
        leaves=[leaf("model/fine", 1.0), leaf("model/bad", 1.0, bad)],
        ranks={0: RankState({}, [leaf("ema", bad)])},
    )
    with pytest.raises(NotFinite, match="not saved, as it holds NaN or Inf: model/bad, ema") as caught:
        write_checkpoint(tmp_path, poisoned)
    assert caught.value.names == ("model/bad", "ema")
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"meta": {1: 2}}, "the key 1 in meta is not a string"),
        ({"ranks": {2: RankState()}}, "'2' is no rank of 2"),
        ({"leaves": [leaf("rng", 1.0)]}, "rng is a leaf of all ranks, and one of rank 0"),
        ({"leaves": [leaf("a", 1.0), leaf("a", 1.0)]}, "two leaves are named 'a'"),
        ({"step": -1}, "step is -1"),
        ({"cause": Cause("Out of memory")}, "kind is 'Out of memory'"),
    ],
)
def test_a_state_that_makes_no_sense_is_not_saved(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(tmp_path, state(**changes))
    assert said in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, 1)
    before = content(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "write", full)
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(tmp_path, state(2))
    assert str(caught.value) == (
        f"cannot save step 2 under {tmp_path}: No space left on device (32 B are needed); "
        "earlier checkpoints are untouched"
    )
    assert content(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["latest", "step-000000001"]


def test_an_interrupted_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path, state(2))
    assert os.listdir(tmp_path) == []


def test_a_hint_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    path = write_checkpoint(tmp_path, state(2))
    assert CheckpointStore(tmp_path).newest_valid()[0] == read_entry(path)
    assert sorted(os.listdir(tmp_path)) == ["latest", "step-000000002"]


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot save step 1 under .*: Not a directory|File exists"):
        write_checkpoint(tmp_path / "file", state())


def test_a_writer_whose_place_is_swept_before_it_has_the_lock_takes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each point between making a directory and locking it."""
    swept: list[str] = []
    real_open, real_lock = os.open, making.try_lock

    def sweeping_open(path: Any, *words: Any) -> int:
        if len(swept) == 0 and str(path).endswith("state.safetensors") and made(path):
            swept.append("before it is opened")
            making.discard(Path(path).parent)
        return real_open(path, *words)

    def sweeping_lock(descriptor: int, exclusive: bool) -> bool | None:
        if len(swept) == 1:
            swept.append("before it is locked")
            (place,) = tmp_path.glob(".tmp-*")
            making.discard(place)
        return real_lock(descriptor, exclusive)

    def made(path: Any) -> bool:
        return Path(path).parent.is_dir()

    monkeypatch.setattr(making.os, "open", sweeping_open)
    monkeypatch.setattr(making, "try_lock", sweeping_lock)
    path = write_checkpoint(tmp_path, state(3))
    assert swept == ["before it is opened", "before it is locked"]
    assert verify(path, read_entry(path).manifest) == []
    assert sorted(os.listdir(tmp_path)) == ["latest", "step-000000003"]


def test_what_the_dead_left_is_swept_and_what_the_living_make_is_not(tmp_path: Path) -> None:
    for name in (".tmp-empty", ".tmp-torn"):
        (tmp_path / name).mkdir()
    (tmp_path / ".tmp-torn" / "state.safetensors").write_bytes(b"half")
    (tmp_path / ".tmp-torn" / "manifest.json").write_bytes(b"{")
    (tmp_path / ".tmp-hint").write_text("step")
    with making.Making(tmp_path) as living:
        living.write("state.safetensors", lambda file: making.FileRecord(file.write(b"data"), ""))
        before = content(tmp_path / living._path)
        assert sorted(making.sweep(tmp_path)) == [".tmp-empty", ".tmp-hint", ".tmp-torn"]
        assert content(tmp_path / living._path) == before
        assert making.sweep(tmp_path) == []
    assert os.listdir(tmp_path) == []


def test_sweeping_follows_no_links_and_leaves_what_is_not_ours(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "state.safetensors").write_text("precious")
    root = tmp_path / "root"
    root.mkdir()
    (root / ".tmp-link").symlink_to(elsewhere)
    (root / ".tmp-with" / "folder").mkdir(parents=True)
    assert making.sweep(root) == []
    assert (elsewhere / "state.safetensors").read_text() == "precious"
    assert (root / ".tmp-with" / "folder").is_dir()


def test_where_files_cannot_be_locked_checkpoints_are_written_and_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    (tmp_path / ".tmp-old").mkdir()
    path = write_checkpoint(tmp_path, state(1))
    assert (tmp_path / ".tmp-old").is_dir()
    assert CheckpointStore(tmp_path).newest_valid() == (read_entry(path), [])
