import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ma_training.checkpoint import (
    BeingRead,
    Cause,
    CheckpointError,
    CheckpointStore,
    hold,
    read_entry,
    remove,
    verify,
    write_checkpoint,
)
from tests.checkpoints import content, cut, flip, state, written

FEWER = settings(max_examples=settings().max_examples // 5)  # each writes files


def reasons(store: CheckpointStore, identity: str | None = None) -> dict[str, str]:
    return {bad.path.name: bad.reason for bad in store.newest_valid(identity)[1]}


def test_newest_first_whatever_the_hint_says(tmp_path: Path) -> None:
    written(tmp_path, 300, 1000, 5)
    (tmp_path / "latest").write_text("step-000000005")
    write_checkpoint(tmp_path, state(300, cause=Cause("sigterm")))
    names = [entry.path.name for entry in CheckpointStore(tmp_path).entries()]
    assert names == ["step-000001000", "step-000000300-2", "step-000000300", "step-000000005"]


def test_what_is_not_there_is_empty_and_what_cannot_be_read_is_not(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "nowhere").newest_valid() == (None, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot read .*Not a directory"):
        CheckpointStore(tmp_path / "file").newest_valid()


def test_other_names_are_passed_over(tmp_path: Path) -> None:
    written(tmp_path, 1)
    for name in ("step-1", "notes", "step-000000001-x", ".tmp-x"):
        (tmp_path / name).mkdir()
    assert [entry.path.name for entry in CheckpointStore(tmp_path).entries()] == ["step-000000001"]
    assert reasons(CheckpointStore(tmp_path)) == {}


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of a tensor": (lambda path: flip(path / "state.safetensors", -1), "its content has changed"),
    "a bit of a header": (
        lambda path: flip(path / "rank-00001.safetensors", 20),
        "rank-00001.safetensors: its content",
    ),
    "torn": (lambda path: cut(path / "state.safetensors", 100), "100 bytes, 2"),
    "empty": (lambda path: cut(path / "rank-00000.safetensors", 0), "rank-00000.safetensors: 0 bytes"),
    "a file gone": (
        lambda path: (path / "rank-00000.safetensors").unlink(),
        "rank-00000.safetensors: missing",
    ),
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "no manifest.json"),
    "half a manifest": (lambda path: cut(path / "manifest.json", 200), "damaged: not JSON"),
    "a bit of the manifest": (lambda path: flip(path / "manifest.json", 13, 1), "manifest.json: "),
    "a directory for a file": (
        lambda path: ((path / "state.safetensors").unlink(), (path / "state.safetensors").mkdir()),
        "state.safetensors: ",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_newest_whole_one_is_found_behind_damaged_ones(tmp_path: Path, kind: str) -> None:
    _, good, bad = written(tmp_path, 1, 2, 3)
    damage, said = DAMAGE[kind]
    damage(bad)
    entry, rejected = CheckpointStore(tmp_path).newest_valid()
    assert entry == read_entry(good)
    assert [one.path for one in rejected] == [bad]
    assert said in rejected[0].reason


@given(st.data())
@FEWER
def test_no_damage_anywhere_is_accepted(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        good, bad = written(root, 1, 2)
        file = bad / data.draw(st.sampled_from(sorted(os.listdir(bad))))
        whole = file.read_bytes()
        if data.draw(st.booleans()):
            cut(file, data.draw(st.integers(0, len(whole.rstrip()) - 1)))
        else:
            flip(file, data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7)))
        before = read_entry(good)
        entry, rejected = CheckpointStore(root).newest_valid()
        if entry != before:  # only where a blank of the manifest has become another one
            assert entry is not None
            assert file.name == "manifest.json"
            assert entry.manifest.to_json() == whole
        else:
            assert [one.path for one in rejected] == [bad]


def test_only_ones_of_the_same_identity_count(tmp_path: Path) -> None:
    ours, _ = written(tmp_path, 1), written(tmp_path, 2, identity="another")
    store = CheckpointStore(tmp_path)
    assert store.newest_valid("digits")[0] == read_entry(ours[0])
    assert reasons(store, "digits") == {"step-000000002": "is of 'another'"}
    assert store.newest_valid("nobody")[0] is None


def test_links_are_not_followed(tmp_path: Path) -> None:
    good, bad = written(tmp_path, 1, 2)
    (bad / "state.safetensors").rename(tmp_path / "moved")
    (bad / "state.safetensors").symlink_to(tmp_path / "moved")
    store = CheckpointStore(tmp_path)
    assert store.newest_valid()[0] == read_entry(good)


def test_a_file_where_a_directory_is_expected(tmp_path: Path) -> None:
    (tmp_path / "step-000000001").write_text("x")
    assert "is a file; a checkpoint is a directory" in reasons(CheckpointStore(tmp_path))["step-000000001"]


# --- retention ---


def names(root: Path) -> list[str]:
    return sorted(os.listdir(root))


def test_the_newest_are_kept(tmp_path: Path) -> None:
    written(tmp_path, 1, 2, 3, 4)
    removed, stayed = CheckpointStore(tmp_path).retain(2)
    assert [one.entry.manifest.step for one in removed] == [2, 1]
    assert all(one.freed > one.entry.manifest.size for one in removed)  # and the manifest
    assert stayed == []
    assert names(tmp_path) == ["latest", "step-000000003", "step-000000004"]


def test_the_newest_whole_one_is_kept_behind_damaged_ones(tmp_path: Path) -> None:
    paths = written(tmp_path, 1, 2, 3, 4)
    for path in paths[2:]:
        flip(path / "state.safetensors", -1)
    CheckpointStore(tmp_path).retain(1)
    assert names(tmp_path) == ["latest", "step-000000002", "step-000000003", "step-000000004"]
    assert CheckpointStore(tmp_path).newest_valid()[0] == read_entry(paths[1])


def test_torn_ones_do_not_count(tmp_path: Path) -> None:
    paths = written(tmp_path, 1, 2, 3, 4)
    cut(paths[2] / "state.safetensors", 10)
    CheckpointStore(tmp_path).retain(2)
    assert names(tmp_path) == ["latest", "step-000000002", "step-000000003", "step-000000004"]


def test_nothing_is_removed_where_none_is_whole(tmp_path: Path) -> None:
    for path in written(tmp_path, 1, 2, 3):
        flip(path / "state.safetensors", -1)
    assert CheckpointStore(tmp_path).retain(1) == ([], [])


def test_what_has_no_good_manifest_is_left_to_people(tmp_path: Path) -> None:
    paths = written(tmp_path, 1, 2, 3)
    (paths[0] / "manifest.json").unlink()
    CheckpointStore(tmp_path).retain(1)
    assert names(tmp_path) == ["latest", "step-000000001", "step-000000003"]


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CheckpointStore(tmp_path).retain(0)


def test_what_is_being_read_stays(tmp_path: Path) -> None:
    old, _ = written(tmp_path, 1, 2)
    store = CheckpointStore(tmp_path)
    with hold(read_entry(old)):
        removed, stayed = store.retain(1)
        assert removed == []
        assert [(bad.path, "it is being read" in bad.reason) for bad in stayed] == [(old, True)]
        assert verify(old, read_entry(old).manifest) == []
    assert [one.entry.path for one in store.retain(1)[0]] == [old]


def test_several_may_read_at_once(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 1)
    entry = read_entry(path)
    with hold(entry):
        with hold(entry):
            pass
        with pytest.raises(BeingRead):
            remove(path)


def test_what_is_gone_cannot_be_held(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 1)
    entry = read_entry(path)
    remove(path)
    with pytest.raises(CheckpointError, match="has been removed"), hold(entry):
        raise AssertionError("held")


def test_a_removed_one_is_not_named_by_the_hint(tmp_path: Path) -> None:
    first, second = written(tmp_path, 1, 2)
    remove(first)
    assert (tmp_path / "latest").read_text() == "step-000000002\n"
    assert remove(second) > 0
    assert names(tmp_path) == []


def test_what_people_have_put_there_is_not_removed(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 1)
    (path / "notes.txt").write_text("mine")
    before = content(path)
    with pytest.raises(CheckpointError, match=r"it holds notes\.txt, no part of a checkpoint"):
        remove(path)
    assert content(path) == before


def test_only_checkpoints_are_removed(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 1)
    (tmp_path / "step-000000009").symlink_to(path)
    other = tmp_path / "data"
    shutil.copytree(path, other)
    for target in (tmp_path / "step-000000009", other, tmp_path / "step-000000010"):
        with pytest.raises(CheckpointError, match="not the directory of a checkpoint"):
            remove(target)
    assert content(path) == content(other)


def test_damaged_ones_can_be_removed(tmp_path: Path) -> None:
    first, second = written(tmp_path, 1, 2)
    (first / "manifest.json").unlink()
    cut(second / "manifest.json", 5)
    remove(first)
    remove(second)
    assert names(tmp_path) == []


kinds = st.sampled_from(["whole", *DAMAGE])


@given(st.lists(st.tuples(st.integers(0, 6), kinds), max_size=6), st.integers(1, 3))
@FEWER
def test_retention_never_takes_what_would_be_resumed_from(shelf: list[tuple[int, str]], keep: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = {write_checkpoint(root, state(step)): kind for step, kind in shelf}
        for path, kind in paths.items():
            if kind != "whole":
                DAMAGE[kind][0](path)
        store = CheckpointStore(root)
        before, _ = store.newest_valid()
        whole = [entry.path for entry in store.entries() if paths[entry.path] == "whole"]
        removed, stayed = store.retain(keep)
        gone = {one.entry.path for one in removed}
        assert store.newest_valid()[0] == before
        assert {paths[bad.path] for bad in stayed} <= {"a directory for a file"}
        assert before is None or before.path == whole[0]
        assert gone <= set(paths)
        assert len(set(whole) - gone) >= min(len(whole), 1)
        assert not gone & set(whole[:1])
        assert all(path.exists() == (path not in gone) for path in paths)
