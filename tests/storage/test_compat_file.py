"""mox.file against a real server: the cases that local paths and the stub have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.compat.modelarts import Session
from ma_training.compat.moxing import auth, file

from ..compat_cases import *  # noqa: F403
from .rgw import Rgw


@pytest.fixture
def root(rgw: Rgw, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MOX_SILENT_MODE", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, value in rgw.environ.items():
        monkeypatch.setenv(name, value)
    file.make_dirs(f"obs://{bucket}/root")
    yield f"obs://{bucket}/root"
    auth.forget()


def test_large_ones_go_in_parts_and_come_back(root: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * (80 << 10)  # 20 MiB
    with file.File(f"{root}/large", "wb") as large:
        large.write(data)
    assert file.get_size(f"{root}/large") == len(data)
    file.append(f"{root}/large", b"end", binary=True)
    file.copy(f"{root}/large", str(tmp_path / "large"))
    assert (tmp_path / "large").read_bytes() == data + b"end"
    with file.File(f"{root}/large", "rb") as large:
        large.seek(-5, 2)
        assert large.read() == data[-2:] + b"end"


def test_a_wrong_secret_is_refused_and_not_shown(root: str) -> None:
    canary = "canary-of-a-secret"
    file.set_auth(ak="nobody", sk=canary)
    with pytest.raises(file.MoxFileRespException) as caught:
        file.exists(f"{root}/x")
    assert caught.value.resp.status == 403 and canary not in f"{caught.value} {caught.value!r}"


def test_buckets_are_made_and_removed(root: str, tmp_path: Path) -> None:
    session = Session()
    assert session.create_bucket(bucket="made-by-session") == "made-by-session"
    session.obs.create_bucket("made-by-session")
    try:
        session.create_directory(bucket="made-by-session", directory="/dir1/dir2/")
        assert file.list_directory("obs://made-by-session", recursive=True) == ["dir1", "dir1/dir2"]
        with pytest.raises(file.MoxFileRespException):
            session.delete_bucket("made-by-session")
        with pytest.raises(OSError, match=r"would be emptied"):
            file.remove("obs://made-by-session", recursive=True)
        file.remove("obs://made-by-session/dir1", recursive=True)
    finally:
        session.delete_bucket(bucket="made-by-session")
    assert not file.exists("obs://made-by-session")
