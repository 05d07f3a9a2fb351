"""Archives: what is unpacked is whole and inside, or nothing is."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ma_training.storage import BadKey, Damaged, Exists, NoSpace, StorageError, unpack

Member = tuple[str, bytes]


def make_tar(path: Path, members: list[Member], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def make_zip(path: Path, members: list[Member]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members:
            zipped.writestr(name, data)
    return path


MAKERS = [
    lambda path, members: make_tar(path / "x.tgz", members),
    lambda path, members: make_zip(path / "x.zip", members),
]
Maker = Callable[[Path, list[Member]], Path]


def nothing_left(tmp_path: Path, archive: Path) -> None:
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("make", MAKERS)
def test_good(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path, [("./a", b"1"), ("d/e/f", b"22"), ("d/é", b"")])
    assert unpack(archive, tmp_path / "out") == 3
    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {"a": b"1", "d/e/f": b"22", "d/é": b""}
    with pytest.raises(Exists):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a/..", "a//b", "x" * 300])
def test_members_that_leave(make: Maker, name: str, tmp_path: Path) -> None:
    archive = make(tmp_path, [("good", b"1"), (name, b"2")])
    with pytest.raises(BadKey, match="nothing is unpacked"):
        unpack(archive, tmp_path / "out")
    nothing_left(tmp_path, archive)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices(kind: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("member")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(BadKey, match=r"a link|a device"):
        unpack(archive, tmp_path / "out")
    nothing_left(tmp_path, archive)


def test_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(BadKey, match="a link"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    nothing_left(tmp_path, tmp_path / "x.zip")


@pytest.mark.parametrize("make", MAKERS)
def test_bomb(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path, [("a", bytes(1 << 20)), ("b", bytes(1 << 20))])
    assert archive.stat().st_size < 10_000
    with pytest.raises(NoSpace):
        unpack(archive, tmp_path / "out", most_bytes=(1 << 20) + 1)
    nothing_left(tmp_path, archive)


@pytest.mark.parametrize("make", MAKERS)
def test_damaged(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path, [(f"f{number}", bytes(range(256)) * 50) for number in range(5)])
    whole = archive.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 25)):
        archive.write_bytes(whole[:size])
        with pytest.raises(StorageError):
            unpack(archive, tmp_path / "out")
        nothing_left(tmp_path, archive)
    archive.write_bytes(b"no archive at all" * 100)
    with pytest.raises(Damaged):
        unpack(archive, tmp_path / "out")


def test_file_and_directory_of_one_name(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "x.tgz", [("a", b"1"), ("a/b", b"2")])
    with pytest.raises(StorageError):
        unpack(archive, tmp_path / "out")
    nothing_left(tmp_path, archive)
