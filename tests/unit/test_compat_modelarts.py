"""modelarts.session.Session().obs: where things go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.compat.modelarts import Session
from ma_training.compat.moxing import auth, file

from ..s3_stub import KEYS, Stub, stub

ROOT = "obs://bucket"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("MOX_SILENT_MODE", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with stub() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server
    auth.forget()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "work" / "sub").mkdir(parents=True)
    (tmp_path / "work" / "file1.txt").write_text("1")
    (tmp_path / "work" / "sub" / "a.zip").write_text("2")
    return tmp_path


def test_up(server: Stub, here: Path) -> None:
    obs = Session().obs
    obs.upload_file(src_local_file=str(here / "work/file1.txt"), dst_obs_dir=f"{ROOT}/dir1/")
    obs.upload_file(src_local_file=str(here / "work/file1.txt"), dst_obs_dir=f"{ROOT}/dir2")
    obs.upload_dir(src_local_dir=f"{here}/work/", dst_obs_dir=f"{ROOT}/dir1/")
    assert sorted(server.objects) == [
        "dir1/file1.txt",
        "dir1/work/file1.txt",
        "dir1/work/sub/a.zip",
        "dir2/file1.txt",
    ]


def test_down(server: Stub, tmp_path: Path) -> None:
    file.write(f"{ROOT}/dir1/file1.txt", "1")
    file.write(f"{ROOT}/dir1/sub/a.zip", "2")
    obs, there = Session().obs, tmp_path / "there"
    obs.download_file(src_obs_file=f"{ROOT}/dir1/file1.txt", dst_local_dir=f"{there}/")
    obs.download_file(src_obs_file=f"{ROOT}/dir1/sub/a.zip", dst_local_dir=f"{there}/b.zip")
    obs.download_file(src_obs_file=f"{ROOT}/dir1/sub/a.zip", dst_local_dir=f"{there}/new")
    obs.download_dir(src_obs_dir=f"{ROOT}/dir1/", dst_local_dir=str(there))
    found = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
    assert found == ["b.zip", "dir1/file1.txt", "dir1/sub/a.zip", "file1.txt", "new/a.zip"]


def test_copy(server: Stub, here: Path, tmp_path: Path) -> None:
    obs = Session().obs
    obs.copy(src_path=str(here / "work/file1.txt"), dst_path=f"{ROOT}/dir1/renamed.txt")
    obs.copy(str(here / "work"), f"{ROOT}/kept")
    obs.copy(str(here / "work"), f"{ROOT}/dropped/", keep_last_dir=False)
    obs.copy(f"{ROOT}/dir1/renamed.txt", f"{here}/work/")
    obs.copy(f"{ROOT}/kept", str(tmp_path / "down"))
    assert sorted(server.objects) == [
        "dir1/renamed.txt",
        "dropped/file1.txt",
        "dropped/sub/a.zip",
        "kept/work/file1.txt",
        "kept/work/sub/a.zip",
    ]
    assert (here / "work" / "renamed.txt").read_text() == "1"
    assert (tmp_path / "down" / "kept" / "work" / "sub" / "a.zip").read_text() == "2"


def test_the_older_sdk(server: Stub, here: Path, tmp_path: Path) -> None:
    session = Session()
    session.upload_data(
        bucket_path="/bucket/dir1/", path=[str(here / "work/file1.txt"), str(here / "work/sub")]
    )
    session.create_directory(bucket="bucket", directory="/dir2/dir3/")
    assert sorted(server.objects) == ["dir1/file1.txt", "dir1/sub/a.zip", "dir2/dir3/"]
    session.download_data(bucket_path="/bucket/dir1/file1.txt", path=str(tmp_path / "obs.txt"))
    session.download_data(bucket_path="/bucket/dir1/sub/", path=str(tmp_path / "sdk"))
    assert (tmp_path / "obs.txt").read_text() == "1" and (tmp_path / "sdk/sub/a.zip").read_text() == "2"
    for ask in (session.get_obs_client, session.default_bucket):
        with pytest.raises(NotImplementedError, match=r"hint"):
            ask()


def test_mistaken_arguments(server: Stub, here: Path) -> None:
    obs = Session().obs
    with pytest.raises(OSError, match=r"dst_obs_dir.*not in object storage"):
        obs.upload_file(str(here / "work/file1.txt"), str(here))
    with pytest.raises(OSError, match=r"src_local_dir.*not a local path"):
        obs.upload_dir(f"{ROOT}/a", f"{ROOT}/b")
    with pytest.raises(OSError, match=r"both local"):
        obs.copy(str(here), str(here))
    with pytest.raises(OSError, match=r"is a directory"):
        obs.upload_file(str(here / "work"), f"{ROOT}/a/")
    for ask in (obs.download_file, obs.download_dir):
        with pytest.raises(FileNotFoundError):
            ask(f"{ROOT}/not/there", str(here))
    with pytest.raises(FileNotFoundError):
        obs.upload_file(str(here / "none"), f"{ROOT}/a/")
    assert not server.objects


def test_credentials_are_taken_and_not_shown(server: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    canary = "canary-of-a-secret"
    endpoint = server.environ["S3_ENDPOINT"]
    session = Session(access_key="stub-key", secret_key=canary, project_id="p", obs_endpoint=endpoint)
    session.obs.create_directory("bucket", "d")
    assert canary not in repr(session) + repr(vars(session)) and list(server.objects) == ["d/"]
    assert Session(region_name="cn-north-4") and "cn-north-4" in auth.endpoint("obs").url
    with pytest.raises(ValueError, match=r"ak and sk"):
        Session(access_key="x")
    with pytest.raises(ValueError, match=r"password"):
        Session(username="u", password=canary)
