"""shift: os, shutil, glob and open take obs:// too, and are Python's own again afterwards."""

import builtins
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.compat.moxing import auth, file
from ma_training.compat.moxing.shifting import _TABLE

from ..s3_stub import Stub, stub

ROOT = "obs://bucket/root"
BEFORE = {(module, name): getattr(module, name) for module, name, _ in _TABLE}


@pytest.fixture
def shifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("MOX_SILENT_MODE", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with stub() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        file.shift("os", "mox")
        try:
            yield server
        finally:
            file.shift("mox", "os")
            auth.forget()
    assert all(getattr(module, name) is original for (module, name), original in BEFORE.items())


def test_the_documented_table(shifted: Stub, tmp_path: Path) -> None:
    os.makedirs(f"{ROOT}/a/b", exist_ok=True)
    os.mkdir(f"{ROOT}/a/c")
    with open(f"{ROOT}/a/x.txt", "w", encoding="utf-8") as opened:
        opened.write("hello")
    with open(f"{ROOT}/a/x.txt", "rb") as opened:
        opened._write_check_passed = True  # the guide's own trick for pandas
        assert opened.read() == b"hello"
    assert (
        os.path.exists(f"{ROOT}/a/x.txt") and os.path.isdir(f"{ROOT}/a") and os.path.isfile(f"{ROOT}/a/x.txt")
    )
    assert not os.path.exists(f"{ROOT}/none") and not os.path.isfile(f"{ROOT}/none")
    assert os.path.getsize(f"{ROOT}/a/x.txt") == os.stat(f"{ROOT}/a/x.txt").st_size == 5
    assert os.listdir(f"{ROOT}/a") == ["b", "c", "x.txt"]
    assert [entry.name for entry in os.scandir(f"{ROOT}/a") if entry.is_file()] == ["x.txt"]
    assert next(os.walk(ROOT)) == (ROOT, ["a"], [])
    assert glob.glob(f"{ROOT}/a/*.txt") == [f"{ROOT}/a/x.txt"]
    assert shutil.copyfile(f"{ROOT}/a/x.txt", str(tmp_path / "y.txt")) == str(tmp_path / "y.txt")
    os.rename(str(tmp_path / "y.txt"), f"{ROOT}/a/y.txt")
    assert not (tmp_path / "y.txt").exists()
    shutil.copytree(f"{ROOT}/a", str(tmp_path / "down"))
    assert sorted(os.listdir(tmp_path / "down")) == ["b", "c", "x.txt", "y.txt"]
    os.remove(f"{ROOT}/a/y.txt")
    shutil.rmtree(f"{ROOT}/a")
    assert not os.path.exists(f"{ROOT}/a")
    with pytest.raises(FileNotFoundError):
        os.listdir(f"{ROOT}/a")


def test_local_paths_are_pythons_own(shifted: Stub, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with open(tmp_path / "d" / "f", "w") as opened:
        assert opened.fileno() > 2
    with open(os.open(tmp_path / "d" / "f", os.O_RDONLY)) as opened:
        assert opened.read() == ""
    descriptor = os.open(tmp_path / "d", os.O_RDONLY)
    try:
        assert os.listdir(descriptor) == ["f"] and os.stat("f", dir_fd=descriptor).st_size == 0
        assert os.stat in os.supports_dir_fd and os.stat in os.supports_follow_symlinks
    finally:
        os.close(descriptor)
    with pytest.raises(FileExistsError):
        os.makedirs(tmp_path / "d")
    with pytest.raises(IsADirectoryError):
        os.remove(tmp_path / "d")
    shutil.copytree(tmp_path / "d", tmp_path / "e", dirs_exist_ok=True)
    os.symlink("nowhere", tmp_path / "e" / "link")
    shutil.rmtree(tmp_path / "e")
    assert not (tmp_path / "e").exists() and not shifted.requests
    result = subprocess.run([sys.executable, "-c", "print(open)"], capture_output=True, text=True, check=True)
    assert "built-in function open" in result.stdout


def test_twice_is_as_once(shifted: Stub) -> None:
    file.shift("os", "mox")
    file.shift("mox", "os")
    assert builtins.open is BEFORE[builtins, "open"]
    file.shift("mox", "os")
    file.shift("os", "mox")


@pytest.mark.parametrize("words", [("os", "os"), ("mox", "mox"), ("tf", "mox"), ("os", "")])
def test_other_shifts(words: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"only shift"):
        file.shift(*words)


def test_importing_changes_nothing() -> None:
    script = """if True:
        import builtins, glob, os, shutil
        before = [open, os.listdir, os.stat, os.path.exists, shutil.rmtree, glob.glob]
        import ma_training.compat.moxing
        assert before == [open, os.listdir, os.stat, os.path.exists, shutil.rmtree, glob.glob]
    """
    subprocess.run([sys.executable, "-c", script], check=True)
