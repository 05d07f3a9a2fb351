"""``launcher ckpt`` as people type it."""

import json
import os
from pathlib import Path

import pytest

from ma_training.checkpoint import Cause, hold, read_entry, write_checkpoint
from tests.checkpoints import content, cut, flip, state, written
from tests.support import Job, Launcher


@pytest.fixture
def digits(launcher: Launcher) -> Path:
    """The directory of a job's checkpoints, in the default place."""
    return launcher.directory / "runs" / "checkpoints" / "digits"


def ckpt(launcher: Launcher, *words: str, zone: str = "UTC") -> Job:
    return launcher.run_bare("ckpt", *words, env={"TZ": zone})


def records(job: Job) -> list[dict[str, object]]:
    return [json.loads(line) for line in job.stdout.splitlines()]


def relative(path: Path, launcher: Launcher) -> str:
    return str(path.relative_to(launcher.directory))


# --- ls ---


def test_checkpoints_are_listed_newest_first(launcher: Launcher, digits: Path) -> None:
    written(digits, 100, 300)
    write_checkpoint(digits, state(200, cause=Cause("exception", "ValueError: no\nsuch label")))
    job = ckpt(launcher, "ls")
    assert (job.process.returncode, job.stderr) == (0, "")
    lines = job.stdout.splitlines()
    assert lines[0] == "runs/checkpoints/digits"
    assert lines[1].split() == ["STEP", "EPOCH", "SIZE", "WRITTEN", "CHECKPOINT", "WHY"]
    rows = [line.split() for line in lines[2:]]
    assert [(row[0], row[1], row[5]) for row in rows] == [
        ("300", "3", "step-000000300"),
        ("200", "2", "step-000000200"),
        ("100", "1", "step-000000100"),
    ]
    assert rows[0][2:4] == [f"{read_entry(digits / 'step-000000300').manifest.size}", "B"]
    assert lines[2].endswith("  periodic")
    assert lines[3].endswith("  exception: ValueError: no such label")


def test_times_are_local(launcher: Launcher, digits: Path) -> None:
    written(digits, 1)
    shown = ckpt(launcher, "ls", zone="XXX-08").stdout
    assert "+08:00" in shown
    assert "+00:00" in ckpt(launcher, "ls").stdout


def test_damage_that_shows_is_listed(launcher: Launcher, digits: Path) -> None:
    bad, none = written(digits, 1, 2)
    cut(bad / "manifest.json", 10)
    (none / "manifest.json").unlink()
    job = ckpt(launcher, "ls", str(digits))
    assert job.process.returncode == 0
    assert "step-000000001  not usable: damaged: not JSON" in job.stdout
    assert "step-000000002  not usable: no manifest.json" in job.stdout
    told = {
        str(record["checkpoint"]): record for record in records(ckpt(launcher, "ls", str(digits), "--json"))
    }
    assert set(told) == {str(bad), str(none)}
    assert all(record["v"] == 1 and record["damaged"] for record in told.values())


def test_json_has_a_line_for_each(launcher: Launcher, digits: Path) -> None:
    (path,) = written(digits, 250)
    manifest = read_entry(path).manifest
    (record,) = records(ckpt(launcher, "ls", "--json"))
    assert record == {
        "v": 1,
        "checkpoint": relative(path, launcher),
        "job": "digits-1",
        "identity": "digits",
        "step": 250,
        "epoch": 2,
        "world_size": 2,
        "cause": {"kind": "periodic", "text": ""},
        "created": manifest.created,
        "bytes": manifest.size,
        "files": 3,
    }


def test_several_jobs_are_listed_apart(launcher: Launcher, digits: Path) -> None:
    written(digits, 1)
    written(digits.with_name("other"), 2)
    lines = ckpt(launcher, "ls", "runs/checkpoints").stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "runs/checkpoints/digits",
        "runs/checkpoints/other",
    ]


def test_none_are_listed_where_there_are_none(launcher: Launcher) -> None:
    (launcher.directory / "empty").mkdir()
    job = ckpt(launcher, "ls", "empty")
    assert (job.process.returncode, job.stdout) == (0, "")
    assert job.stderr == "launcher: no checkpoints in empty\n"


# --- verify ---


def test_whole_ones_are_found_whole(launcher: Launcher, digits: Path) -> None:
    paths = written(digits, 1, 2)
    job = ckpt(launcher, "verify")
    assert (job.process.returncode, job.stderr) == (0, "")
    assert [line.split()[:2] for line in job.stdout.splitlines()] == [
        ["ok", relative(path, launcher)] for path in reversed(paths)
    ]


def test_each_fault_is_named(launcher: Launcher, digits: Path) -> None:
    good, bad, worse = written(digits, 1, 2, 3)
    flip(bad / "state.safetensors", -1)
    (bad / "rank-00001.safetensors").unlink()
    (worse / "manifest.json").unlink()
    job = ckpt(launcher, "verify", str(digits))
    assert job.process.returncode == 1
    assert f"ok   {good}" in job.stdout
    assert f"bad  {bad}" in job.stdout
    assert "        state.safetensors: its content has changed" in job.stdout
    assert "        rank-00001.safetensors: missing" in job.stdout
    assert "        manifest.json: no manifest.json: not a checkpoint, or not a whole one" in job.stdout
    told = {
        Path(str(one["checkpoint"])): one for one in records(ckpt(launcher, "verify", str(digits), "--json"))
    }
    assert {path: one["valid"] for path, one in told.items()} == {good: True, bad: False, worse: False}
    assert [fault["file"] for fault in told[bad]["faults"]] == [  # type: ignore[attr-defined]
        "state.safetensors",
        "rank-00001.safetensors",
    ]


def test_single_ones_are_verified(launcher: Launcher, digits: Path) -> None:
    good, bad = written(digits, 1, 2)
    flip(bad / "state.safetensors", -1)
    assert ckpt(launcher, "verify", str(good)).process.returncode == 0
    assert ckpt(launcher, "verify", str(bad), str(good)).process.returncode == 1


def test_a_pickle_is_refused_with_the_way_out(launcher: Launcher) -> None:
    (launcher.directory / "model.pt").write_bytes(b"PK\x03\x04...")
    job = ckpt(launcher, "verify", "model.pt")
    assert job.process.returncode == 1
    assert "weights_only=True" in job.stdout


# --- rm ---


def test_named_ones_are_removed(launcher: Launcher, digits: Path) -> None:
    first, second, third = written(digits, 1, 2, 3)
    job = ckpt(launcher, "rm", relative(first, launcher), f"{second}/")
    assert (job.process.returncode, job.stderr) == (0, "")
    assert [line.split(",")[0] for line in job.stdout.splitlines()] == [
        f"removed {relative(first, launcher)}",
        f"removed {second}",
    ]
    assert sorted(os.listdir(digits)) == ["latest", third.name]


@pytest.mark.parametrize("damaged", [(), (0,)])
def test_the_last_whole_one_needs_force(launcher: Launcher, digits: Path, damaged: tuple[int, ...]) -> None:
    paths = written(digits, 1, 2)
    for number in damaged:
        flip(paths[number] / "state.safetensors", -1)
    targets = [str(path) for number, path in enumerate(paths) if number not in damaged]
    before = content(digits)
    job = ckpt(launcher, "rm", *targets)
    assert (job.process.returncode, job.stdout) == (1, "")
    assert f"nothing removed: {paths[1]} is the last in {digits} that can be resumed from" in job.stderr
    assert "--force" in job.stderr
    assert content(digits) == before
    assert ckpt(launcher, "rm", "--force", *targets).process.returncode == 0
    assert not any(Path(target).exists() for target in targets)


def test_damaged_ones_go_without_force(launcher: Launcher, digits: Path) -> None:
    first, second = written(digits, 1, 2)
    flip(first / "state.safetensors", -1)
    cut(second / "manifest.json", 10)
    assert ckpt(launcher, "rm", str(first), str(second)).process.returncode == 0
    assert os.listdir(digits) == []


def test_what_is_being_read_is_not_removed(launcher: Launcher, digits: Path) -> None:
    first, _ = written(digits, 1, 2)
    with hold(read_entry(first)):
        job = ckpt(launcher, "rm", str(first))
        kept = ckpt(launcher, "rm", "--keep", "1", str(digits))
    for one in (job, kept):
        assert (one.process.returncode, one.stdout) == (1, "")
        assert f"cannot remove {first}: it is being read" in one.stderr
    assert first.is_dir()


def test_the_newest_are_kept_in_each_directory(launcher: Launcher, digits: Path) -> None:
    written(digits, 1, 2, 3)
    written(digits.with_name("other"), 1, 2, 3)
    job = ckpt(launcher, "rm", "--keep=2")
    assert job.process.returncode == 0
    assert [line.split(",")[0] for line in job.stdout.splitlines()] == [
        "removed runs/checkpoints/digits/step-000000001",
        "removed runs/checkpoints/other/step-000000001",
    ]


# --- bad input ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["destroy"], ["launcher ckpt destroy: unknown", "ls, verify or rm"]),
        (["verfy"], ["launcher ckpt verfy: unknown", "did you mean verify?"]),
        (["ls", "--force"], ["launcher ckpt ls: unknown option --force", "--help"]),
        (["ls", "--json=yes"], ["unknown option --json=yes"]),
        (["ls", "a", "b"], ["ls takes one directory"]),
        (["ls", "nowhere"], ["nowhere is not a directory"]),
        (["ls"], ["runs/checkpoints is not a directory"]),
        (["ls", "job/step-000000001"], ["job/step-000000001 is a checkpoint", "the directory that it is in"]),
        (["verify", "nowhere"], ["there is no nowhere"]),
        (["verify", "empty"], ["no checkpoints there to verify"]),
        (["rm"], ["needs the checkpoints to remove", "--keep N"]),
        (["rm", "job"], ["job is not a checkpoint"]),
        (["rm", "/"], ["/ is not a checkpoint"]),
        (["rm", "step-000000007"], ["step-000000007 is not a checkpoint"]),
        (["rm", "--keep"], ["--keep is ''", "at least 1"]),
        (["rm", "--keep", "0", "job"], ["--keep is '0'"]),
        (["rm", "--keep", "1", "--force", "job"], ["--keep N takes one directory, and no --force"]),
    ],
)
def test_refused(launcher: Launcher, words: list[str], said: list[str]) -> None:
    written(launcher.directory / "job", 1)
    (launcher.directory / "empty").mkdir()
    before = content(launcher.directory)
    job = ckpt(launcher, *words)
    assert (job.process.returncode, job.stdout) == (64, "")
    assert all(text in job.stderr for text in said), job.stderr
    assert content(launcher.directory) == before


def test_help(launcher: Launcher) -> None:
    asked, bare = ckpt(launcher, "--help"), ckpt(launcher)
    assert asked.stdout == bare.stdout
    assert asked.stdout.startswith("usage: launcher ckpt ls")
    assert (asked.process.returncode, bare.process.returncode) == (0, 64)
