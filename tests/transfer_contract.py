"""What transfers must do on every object storage: checked on the stub and on a real server."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from ma_training.checkpoint import Cause, CheckpointState, CheckpointStore, write_checkpoint
from ma_training.snapshot import LeafSpec
from ma_training.storage import StorageError, open_store
from ma_training.storage.sync import LEASE, Claim, Held, Holder, Lease, Rule, Turn
from ma_training.transfer import Output
from ma_training.transfer.checkpoint_upload import CheckpointUpload
from ma_training.transfer.fetching import fetch_newest
from ma_training.transfer.gate import Gate
from ma_training.transfer.inputs import bring_output
from ma_training.transfer.tree_upload import TreeUpload

ELSEWHERE = Holder("far", 1, "another boot", "1")
BIG = 20 << 20  # bytes: several parts


def a_checkpoint(
    directory: Path, step: int, identity: str = "job", fill: int = 1, kind: str = "periodic"
) -> Path:
    leaf = LeafSpec("shared/x", "U8", (BIG,))
    data = memoryview(bytes([fill]) * leaf.nbytes)
    cause = Cause(kind)
    return write_checkpoint(
        directory, CheckpointState("run", identity, step, 0, 1, cause, {"shared": {}}, [(leaf, data)])
    )


def upload_of(directory: Path, url: str, environ: Mapping[str, str]) -> tuple[CheckpointUpload, list[str]]:
    told: list[str] = []
    return CheckpointUpload(
        directory, url, "job", 4, Gate(), lambda _, where: told.append(where), environ
    ), told


def fetch(directory: Path, url: str, environ: Mapping[str, str]) -> list[str]:
    said: list[str] = []
    directory.mkdir(exist_ok=True)
    fetch_newest(directory, url, "job", 4, said.append, Gate(), environ)
    return said


def leases_are_one_jobs(url: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    store = open_store(url, environ)
    first = Lease(store, Claim("first", "first", False, ELSEWHERE), settle=0.05)
    first.take()
    first.renew()
    with pytest.raises(Held, match="job first of"):
        Lease(store, Claim("second", "second", False, ELSEWHERE), settle=0.05).take()
    first.release()
    Lease(store, Claim("second", "second", False, ELSEWHERE), settle=0.05).take()
    assert [entry.key for entry in store.list()] == [LEASE]


def a_checkpoint_comes_back(url: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    a_checkpoint(here, 1)
    a_checkpoint(here, 2, fill=2)
    a_checkpoint(here, 3, identity="another")
    upload, told = upload_of(here, url, environ)
    assert upload.round() == "" and [where[-1] for where in told] == ["2", "1"], told
    assert upload.round() == "" and len(told) == 2 and not upload.left()
    upload.close()
    said = fetch(there, url, environ)
    assert said[0].startswith("fetching step 2 from") and "verified" in said[1]
    entry, rejected = CheckpointStore(there).newest_valid("job")
    assert entry is not None and entry.manifest.step == 2 and not rejected
    assert fetch(there, url, environ) == [
        f"step 2 is on this disk; {open_store(url, environ).url} has nothing newer"
    ]
    assert not (there / ".fetching").exists()


def a_damaged_one_is_passed_over(url: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for step in (1, 2, 3):
        a_checkpoint(here, step, fill=step)
    upload, _ = upload_of(here, url, environ)
    assert upload.round() == ""
    store = open_store(url, environ)
    store.put("step-000000003/state.safetensors", b"cut")
    store.delete("step-000000002/state.safetensors")
    said = fetch(there, url, environ)
    assert sum("not resumed from" in text for text in said) == 2
    entry, _ = CheckpointStore(there).newest_valid("job")
    assert entry is not None and entry.manifest.step == 1
    shutil.rmtree(there)
    store.put("step-000000001/state.safetensors", b"cut")
    with pytest.raises(StorageError, match=r"no checkpoint in .* is valid"):
        fetch(there, url, environ)
    upload.close()


def another_of_the_same_step_gets_a_name_of_its_own(
    url: str, environ: Mapping[str, str], tmp_path: Path
) -> None:
    a_checkpoint(tmp_path / "a", 1, fill=1)
    a_checkpoint(tmp_path / "b", 1, fill=2)
    for name in "ab":
        upload, _ = upload_of(tmp_path / name, url, environ)
        assert upload.round() == ""
        upload.close()
    directories, _ = open_store(url, environ).list_directory()
    assert list(directories) == ["step-000000001-2/", "step-000000001/"]
    fetch(tmp_path / "c", url, environ)
    entry, _ = CheckpointStore(tmp_path / "c").newest_valid("job")
    assert entry is not None
    assert (entry.path / "state.safetensors").read_bytes()[-1] == 2, "the later one"


def one_without_a_manifest_is_not_there(url: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    """As a kill in the middle of an upload leaves it; the next upload makes it whole."""
    a_checkpoint(tmp_path / "a", 1, fill=1)
    upload, _ = upload_of(tmp_path / "a", url, environ)
    assert upload.round() == ""
    upload.close()
    store = open_store(url, environ)
    store.delete("step-000000001/manifest.json")
    assert "training begins anew" in fetch(tmp_path / "b", url, environ)[0]
    upload, told = upload_of(tmp_path / "a", url, environ)
    assert upload.round() == "" and len(told) == 1
    upload.close()
    assert "fetching step 1" in fetch(tmp_path / "b", url, environ)[0]


def superseded_ones_go(url: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    here = tmp_path / "here"
    a_checkpoint(here, 1)
    exception = a_checkpoint(here, 2, kind="exception")
    upload, _ = upload_of(here, url, environ)
    assert upload.round() == ""
    shutil.rmtree(exception)
    upload.withdraw_superseded("run")
    directories, _ = open_store(url, environ).list_directory()
    assert list(directories) == ["step-000000001/"]
    upload.close()


def outputs_go_and_come(url: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "sub").mkdir(parents=True)
    (here / "sub" / "big").write_bytes(b"b" * BIG)
    (here / "small").write_bytes(b"s")
    upload = TreeUpload(here, url, Rule(quiet=0), 8, Gate(), environ)
    assert upload.round() == "" and not upload.left()
    (here / "small").write_bytes(b"ss")
    assert upload.left() == [str(here / "small")]
    assert upload.round(final=True) == "" and not upload.left()
    upload.close()
    there.mkdir()
    said: list[str] = []
    bring_output(Output(str(there), url), 8, said.append, Gate(), Turn(there, said.append), environ=environ)
    assert (there / "small").read_bytes() == b"ss" and (there / "sub" / "big").stat().st_size == BIG
    again = TreeUpload(there, url, Rule(quiet=0), 8, Gate(), environ)
    before = {entry.key: entry.stamp for entry in open_store(url, environ).list()}
    assert again.round() == "" and not again.left()
    again.close()
    assert {entry.key: entry.stamp for entry in open_store(url, environ).list()} == before


CONTRACT = (
    leases_are_one_jobs,
    a_checkpoint_comes_back,
    a_damaged_one_is_passed_over,
    another_of_the_same_step_gets_a_name_of_its_own,
    one_without_a_manifest_is_not_there,
    superseded_ones_go,
    outputs_go_and_come,
)
