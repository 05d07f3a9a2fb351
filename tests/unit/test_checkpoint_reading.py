import pickle
import zipfile
from pathlib import Path

import pytest

from ma_training.checkpoint import BeingRead, CheckpointError, Mismatch, load, read_entry, remove
from ma_training.checkpoint.reading import choose, compare
from ma_training.snapshot.leaves import LeafSpec
from tests.checkpoints import cut, leaf, state, written

WEIGHT, MOMENTUM, RNG = (
    LeafSpec("model/weight", "F32", (3,)),
    LeafSpec("optimizer/momentum", "F32", (1,)),
    LeafSpec("rng", "F32", (2,)),
)


def test_a_rank_gets_what_is_common_and_what_is_its_own(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 7)
    for rank in (0, 1):
        with load(read_entry(path), rank, [RNG, WEIGHT, MOMENTUM]) as loaded:
            assert {name: spec for name, (spec, _) in loaded.leaves.items()} == {
                "model/weight": WEIGHT,
                "optimizer/momentum": MOMENTUM,
                "rng": RNG,
            }
            numbers = {name: view.cast("f").tolist() for name, (_, view) in loaded.leaves.items()}
            assert numbers == {"model/weight": [7, 2, 3], "optimizer/momentum": [7], "rng": [rank, 7]}
            assert (loaded.meta, loaded.rank_meta) == ({"step": 7, "epoch": 0}, {"rank": rank})
            assert loaded.skipped == ()


def test_a_rank_that_was_not_there_gets_what_is_common(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 7)
    with load(read_entry(path), 5) as loaded:
        assert sorted(loaded.leaves) == ["model/weight", "optimizer/momentum"]
        assert loaded.rank_meta is None


def test_parts_are_loaded_and_the_rest_is_named(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 7)
    entry = read_entry(path)
    with load(entry, 0, include=["model/*", "r?g"]) as loaded:
        assert sorted(loaded.leaves) == ["model/weight", "rng"]
        assert loaded.skipped == ("optimizer/momentum",)
    with load(entry, 0, exclude=["*"]) as loaded:
        assert (loaded.leaves, len(loaded.skipped)) == ({}, 3)
    with load(entry, 0, [WEIGHT], exclude=["optimizer/*", "rng"]) as loaded:
        assert sorted(loaded.leaves) == ["model/weight"]


def test_what_is_left_out_may_differ(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 7)
    wanted = [WEIGHT, LeafSpec("rng", "U8", (16,))]
    with load(read_entry(path), 0, wanted, exclude=["optimizer/*", "rng"]) as loaded:
        assert sorted(loaded.leaves) == ["model/weight"]


@pytest.mark.parametrize("globs", [{"include": ["modle/*"]}, {"exclude": ["head/*"]}])
def test_a_glob_without_effect_is_a_mistake(tmp_path: Path, globs: dict[str, list[str]]) -> None:
    (path,) = written(tmp_path, 7)
    (glob,) = (glob for found in globs.values() for glob in found)
    with (
        pytest.raises(CheckpointError, match=r"no tensor is named like") as caught,
        load(read_entry(path), 0, **globs),
    ):
        raise AssertionError("loaded")
    assert repr(glob) in str(caught.value)


def test_a_tensor_that_is_wanted_alone_can_be_chosen() -> None:
    assert choose(["a", "b/c", "b/d"], ["*"], ["b/*"], "here") == {"a"}
    assert choose([], ["*"], [], "here") == set()


def test_every_difference_is_named(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 7)
    wanted = [
        LeafSpec("model/weight", "BF16", (3,)),
        LeafSpec("optimizer/momentum", "F32", (2, 2)),
        LeafSpec("head/bias", "F32", ()),
    ]
    with pytest.raises(Mismatch) as caught, load(read_entry(path), 0, wanted):
        raise AssertionError("loaded")
    assert str(caught.value).splitlines() == [
        f"{path} does not fit what is wanted:",
        "    model/weight: wanted BF16 [3], found F32 [3]",
        "    optimizer/momentum: wanted F32 [2, 2], found F32 [1]",
        "    head/bias: wanted F32 [], found none",
        "    rng: not wanted, found F32 [2]",
    ]


def test_many_differences_are_counted() -> None:
    wanted = [LeafSpec(f"layer{number}", "F32", ()) for number in range(23)]
    with pytest.raises(Mismatch, match=r"and 3 more$") as caught:
        compare(wanted, [], "here")
    assert len(caught.value.differences) == 23
    assert len(str(caught.value).splitlines()) == 22


def test_it_is_not_removed_while_it_is_loaded(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 7)
    with load(read_entry(path), 0), pytest.raises(BeingRead):
        remove(path)
    remove(path)
    assert not path.exists()


def test_damage_and_loss_are_named(tmp_path: Path) -> None:
    torn, lost = written(tmp_path, 1, 2)
    cut(torn / "state.safetensors", 50)
    with (
        pytest.raises(CheckpointError, match=r"state\.safetensors: no safetensors file, or damaged"),
        load(read_entry(torn), 0),
    ):
        raise AssertionError("loaded")
    (lost / "rank-00000.safetensors").unlink()
    with (
        pytest.raises(CheckpointError, match=r"rank-00000\.safetensors: cannot be read: No such file"),
        load(read_entry(lost), 0),
    ):
        raise AssertionError("loaded")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle was run')",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_known_and_not_run(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb(), protocol))
    with pytest.raises(CheckpointError, match=r"is a pickle, as torch\.save makes them") as caught:
        read_entry(path)
    assert "torch.load(path, weights_only=True)" in str(caught.value)
    assert "state.save(...)" in str(caught.value)


def test_an_archive_of_torch_is_known(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_entry(path)


def test_other_things_that_are_no_checkpoints(tmp_path: Path) -> None:
    (checkpoint,) = written(tmp_path / "root", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    for path, said in [
        (checkpoint / "state.safetensors", "is a file of tensors; a checkpoint is a directory"),
        (tmp_path / "text", "is a file; a checkpoint is a directory"),
        (tmp_path / "root", "holds checkpoints, and is none itself"),
        (tmp_path / "empty", r"no manifest\.json: not a checkpoint, or not a whole one"),
        (tmp_path / "nothing", "there is nothing"),
    ]:
        with pytest.raises(CheckpointError, match=said):
            read_entry(path)


def test_empty_states_are_states(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 1, leaves=[leaf("none")], ranks={})
    with load(read_entry(path), 0) as loaded:
        spec, view = loaded.leaves["none"]
        assert (spec.shape, bytes(view)) == ((0,), b"")
    assert state(1).size == 32
