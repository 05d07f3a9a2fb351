"""What mox.file does, local or in object storage: cases for any ``root``, an empty directory that exists."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from ma_training.compat.moxing import file as mox


def fill(root: str, *names: str) -> None:
    for name in names:
        mox.write(f"{root}/{name}", f"content of {name}")


def names(root: str) -> list[str]:
    return mox.list_directory(root, recursive=True, skip_dir=True)


# --- looking ---


def test_there_or_not(root: str) -> None:
    fill(root, "d/a.txt")
    assert mox.exists(f"{root}/d/a.txt") and mox.exists(f"{root}/d") and mox.exists(f"{root}/d/")
    assert not any(mox.exists(f"{root}/{name}") for name in ("d/a", "d/a.txt/", "x"))
    assert mox.is_directory(f"{root}/d") and mox.is_directory(f"{root}/d/")
    assert not mox.is_directory(f"{root}/d/a.txt") and not mox.is_directory(f"{root}/x")


def test_sizes_and_statistics(root: str) -> None:
    mox.write(f"{root}/d/a", b"12345")
    mox.write(f"{root}/d/e/b", b"67")
    assert mox.get_size(f"{root}/d/a") == mox.get_size(f"{root}/d/a", recursive=True) == 5
    assert mox.get_size(f"{root}/d") == 0 and mox.get_size(f"{root}/d", recursive=True) == 7
    found = mox.stat(f"{root}/d/a")
    assert (found.length, found.is_directory, found.st_size) == (5, False, 5)
    assert found.mtime_nsec > 1e18 and abs(found.st_mtime - found.mtime_nsec / 1e9) < 1
    assert mox.stat(f"{root}/d").is_directory and mox.stat(f"{root}/d").length == 0


def test_missing_has_an_exception_of_moxing_and_of_python(root: str) -> None:
    for ask in (mox.stat, mox.get_size, mox.read, mox.list_directory, mox.scan_dir):
        with pytest.raises(mox.MoxFileNotExistsException):
            ask(f"{root}/not-there")
        with pytest.raises(FileNotFoundError):
            ask(f"{root}/not-there")


def test_list_directory(root: str) -> None:
    fill(root, "dir0/file00", "file1")
    mox.make_dirs(f"{root}/empty")
    assert mox.list_directory(root) == ["dir0", "empty", "file1"] == mox.list_directory(root + "/")
    everything = ["dir0", "dir0/file00", "empty", "file1"]
    assert mox.list_directory(root, recursive=True) == everything
    assert mox.list_directory(root, remove_sep=False) == ["dir0/", "empty/", "file1"]
    assert mox.list_directory(root, skip_dir=True) == ["file1"]
    assert mox.list_directory(root, recursive=True, skip_file=True) == ["dir0", "empty"]
    assert mox.list_directory(f"{root}/empty") == []
    with pytest.raises(NotADirectoryError):
        mox.list_directory(f"{root}/file1")


def test_a_prefix_is_no_directory(root: str) -> None:
    fill(root, "data/a", "data2/b")
    assert mox.list_directory(f"{root}/data") == ["a"] and mox.get_size(f"{root}/data", True) == 17
    mox.remove(f"{root}/data", recursive=True)
    assert names(root) == ["data2/b"] and not mox.exists(f"{root}/dat")


def test_scan_dir(root: str) -> None:
    fill(root, "d/a", "b.txt")
    with mox.scan_dir(root) as entries:
        found = {entry.name: entry for entry in entries}
    assert {name: (entry.is_dir(), entry.is_file()) for name, entry in found.items()} == {
        "d": (True, False),
        "b.txt": (False, True),
    }
    assert mox.read(found["b.txt"].path) == "content of b.txt" and found["b.txt"].stat().st_size == 16


def test_walk(root: str) -> None:
    fill(root, "d/e/a", "d/b", "c", "skip/x")
    down = []
    for path, directories, files in mox.walk(root):
        if "skip" in directories:
            directories.remove("skip")
        down.append((path, sorted(directories), sorted(files)))
    assert down == [(root, ["d"], ["c"]), (f"{root}/d", ["e"], ["b"]), (f"{root}/d/e", [], ["a"])]
    assert [path for path, _, _ in mox.walk(f"{root}/d", topdown=False)] == [f"{root}/d/e", f"{root}/d"]
    assert list(mox.walk(f"{root}/not-there")) == []


def test_glob(root: str) -> None:
    fill(root, "a.jpg", "b.jpg", ".c.jpg", "c.png", "d1/x.jpg", "d2/e/y.jpg", "d2/x.txt")
    found = {
        "*.jpg": ["a.jpg", "b.jpg"],
        "[ab].jpg": ["a.jpg", "b.jpg"],
        "?.png": ["c.png"],
        "d*": ["d1", "d2"],
        "d*/": ["d1/", "d2/"],
        "d*/x.*": ["d1/x.jpg", "d2/x.txt"],
        "*/e/*": ["d2/e/y.jpg"],
        "a.jpg": ["a.jpg"],
        "d1": ["d1"],
        "no": [],
        "no/*": [],
        ".*": [".c.jpg"],
    }
    assert {p: [f.removeprefix(f"{root}/") for f in mox.glob(f"{root}/{p}")] for p in found} == found
    deep = mox.glob(f"{root}/**/*.jpg", recursive=True)
    assert deep == [f"{root}/{name}" for name in ("a.jpg", "b.jpg", "d1/x.jpg", "d2/e/y.jpg")]


# --- reading and writing ---


def test_whole_files(root: str) -> None:
    mox.write(f"{root}/new/a.txt", "grün\n")
    assert mox.read(f"{root}/new/a.txt") == "grün\n"
    assert mox.read(f"{root}/new/a.txt", binary=True) == "grün\n".encode()
    mox.append(f"{root}/new/a.txt", "blau")
    mox.append(f"{root}/new/a.txt", b"!", binary=True)
    assert mox.read(f"{root}/new/a.txt") == "grün\nblau!"
    mox.append(f"{root}/new/b.txt", "first")
    assert mox.read(f"{root}/new/b.txt") == "first"
    mox.append_remote(f"{root}/new/b.txt", f"{root}/new/a.txt")
    assert mox.read(f"{root}/new/a.txt") == "grün\nblau!first"
    mox.append_remote(f"{root}/new/b.txt", f"{root}/new/c.txt")
    assert mox.read(f"{root}/new/c.txt") == "first"
    mox.write(f"{root}/new/a.txt", b"\xff\xd8", binary=True)
    with pytest.raises(UnicodeError, match=r"binary=True"):
        mox.read(f"{root}/new/a.txt")


def test_an_empty_file_is_a_file(root: str) -> None:
    mox.write(f"{root}/empty", "")
    assert mox.exists(f"{root}/empty") and mox.get_size(f"{root}/empty") == 0
    assert mox.read(f"{root}/empty") == "" and mox.read(f"{root}/empty", binary=True) == b""
    with mox.File(f"{root}/touched", "a"):
        pass
    assert mox.get_size(f"{root}/touched") == 0


def test_file_text(root: str) -> None:
    with mox.File(f"{root}/f", "w") as file:
        assert file.write("one\n") == 4 and file.writable()
        file.writelines(["two\n", "three"])
    with mox.File(f"{root}/f", "r") as file:
        assert file.readline() == "one\n" and list(file) == ["two\n", "three"] and file.read() == ""
        file.seek(0)
        assert file.readlines() == ["one\n", "two\n", "three"] and file.readable() and not file.writable()
        assert (file.name, file.mode, file.size(), file.closed) == (f"{root}/f", "r", 13, False)
    assert file.closed
    with mox.File(f"{root}/f", "a") as file:
        file.write("!")
    assert mox.read(f"{root}/f") == "one\ntwo\nthree!"


def test_file_binary_jumps(root: str) -> None:
    data = bytes(range(256)) * 20
    mox.write(f"{root}/f", data)
    with mox.File(f"{root}/f", "br") as file:
        assert file.read(3) == data[:3] and file.seek(-4, 2) == len(data) - 4 and file.read() == data[-4:]
        assert file.seek(100) == 100 and file.tell() == 100 and file.read(5) == data[100:105]
        file.seek(2, 1)
        assert file.read(1) == data[107:108] and file.seek(len(data) + 9) and file.read() == b""
        buffer = bytearray(4)
        file.seek(1)
        assert file.readinto(buffer) == 4 and bytes(buffer) == data[1:5]


def test_file_reading_and_writing(root: str) -> None:
    with mox.File(f"{root}/f", "w+") as file:
        file.write("0123456789")
        file.seek(2)
        assert file.read(3) == "234"
    with mox.File(f"{root}/f", "br+") as file:
        file.seek(4)
        file.write(b"xx")
        file.seek(0)
        assert file.read() == b"0123xx6789"
    assert mox.read(f"{root}/f") == "0123xx6789"
    with mox.File(f"{root}/f", "a+") as file:
        file.write("end")
        file.seek(0)
        assert file.read() == "0123xx6789end"
    assert mox.read(f"{root}/f") == "0123xx6789end"
    with mox.File(f"{root}/f", "r+") as file:
        file.truncate(4)
    assert mox.read(f"{root}/f") == "0123"
    with pytest.raises(FileNotFoundError):
        mox.File(f"{root}/none", "r+")


def test_flush_is_seen_by_others(root: str) -> None:
    with mox.File(f"{root}/log", "w") as log:
        log.write("one\n")
        log.flush()
        assert mox.read(f"{root}/log") == "one\n"
        log.write("two\n")
        log.flush()
        assert mox.read(f"{root}/log") == "one\ntwo\n"
        log.write("three\n")
    assert mox.read(f"{root}/log") == "one\ntwo\nthree\n"


def test_appended_by_two(root: str) -> None:
    with mox.File(f"{root}/log", "a") as one, mox.File(f"{root}/log", "a") as other:
        for number in range(3):
            one.write(f"one {number}\n")
            one.flush()
            other.write(f"other {number}\n")
            other.flush()
    assert sorted(mox.read(f"{root}/log").splitlines()) == sorted(
        [f"one {number}" for number in range(3)] + [f"other {number}" for number in range(3)]
    )


def test_libraries_take_the_file(root: str) -> None:
    import numpy

    with mox.File(f"{root}/a.npz", "wb") as file:
        numpy.savez(file, rgb=numpy.arange(6))
    with mox.File(f"{root}/a.npz", "rb") as file:
        assert numpy.load(file)["rgb"].sum() == 15
    with mox.File(f"{root}/a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside", b"abc")
    with mox.File(f"{root}/a.zip", "rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("inside") == b"abc"
    with mox.File(f"{root}/a.json", "w") as file:
        json.dump({"a": [1]}, file)
    assert json.loads(mox.read(f"{root}/a.json", binary=True)) == {"a": [1]}
    with mox.File(f"{root}/a.json", "rb") as file, io.TextIOWrapper(file) as text:
        assert text.read() == '{"a": [1]}'


def test_what_is_no_mode(root: str) -> None:
    for mode in ("", "q", "rw", "rbt", "rr", "b"):
        with pytest.raises(ValueError, match=r"mode"):
            mox.File(f"{root}/f", mode)
    with pytest.raises(ValueError, match=r"encoding"):
        mox.File(f"{root}/f", "rb", encoding="utf-8")
    with pytest.raises(IsADirectoryError):
        mox.File(root)


# --- changing ---


def test_directories_are_made(root: str) -> None:
    mox.make_dirs(f"{root}/a/b")
    mox.make_dirs(f"{root}/a/b")
    assert mox.is_directory(f"{root}/a/b") and mox.is_directory(f"{root}/a")
    mox.mk_dir(f"{root}/a/c")
    mox.mk_dir(f"{root}/a/c")
    with pytest.raises(OSError, match=r"above it is not there|there is no"):
        mox.mk_dir(f"{root}/no/leaf")
    fill(root, "file")
    for make in (mox.make_dirs, mox.mk_dir):
        with pytest.raises(FileExistsError):
            make(f"{root}/file")


def test_remove_follows_the_documented_table(root: str) -> None:
    fill(root, "file", "other", "d/e/a", "d/b", "f/a")
    mox.remove(f"{root}/file/")
    mox.remove(f"{root}/d")
    mox.remove(f"{root}/d/")
    mox.remove(f"{root}/never-there")
    mox.remove(f"{root}/never-there", recursive=True)
    assert names(root) == ["d/b", "d/e/a", "f/a", "file", "other"]
    mox.remove(f"{root}/file")
    mox.remove(f"{root}/other", recursive=True)
    mox.remove(f"{root}/d", recursive=True)
    mox.remove(f"{root}/f/", recursive=True)
    assert names(root) == [] and not mox.exists(f"{root}/d") and mox.exists(root)


def test_rename(root: str, tmp_path: Path) -> None:
    fill(root, "a", "d/x", "d/e/y", "over")
    mox.rename(f"{root}/a", f"{root}/b")
    assert mox.read(f"{root}/b") == "content of a" and not mox.exists(f"{root}/a")
    mox.rename(f"{root}/b", f"{root}/over")
    assert mox.read(f"{root}/over") == "content of a"
    mox.rename(f"{root}/d", f"{root}/new")
    assert names(root) == ["new/e/y", "new/x", "over"] and not mox.exists(f"{root}/d")
    for there in (tmp_path / "there", tmp_path / "there2"):
        mox.rename(f"{root}/new", str(there))
        assert (there / "e/y").read_text() == "content of d/e/y" and not mox.exists(f"{root}/new")
        mox.rename(str(there), f"{root}/new")
        assert names(root) == ["new/e/y", "new/x", "over"] and not there.exists()
    fill(root, "full/z")
    with pytest.raises(OSError, match=r"Directory not empty|holds something"):
        mox.rename(f"{root}/new", f"{root}/full")
    with pytest.raises(FileNotFoundError):
        mox.rename(f"{root}/not-there", f"{root}/x")
    assert names(root) == ["full/z", "new/e/y", "new/x", "over"]


# --- copying ---


def test_copy(root: str, tmp_path: Path) -> None:
    fill(root, "d/a.txt")
    mox.copy(f"{root}/d/a.txt", f"{root}/new/b.txt")
    mox.copy(f"{root}/d/a.txt", str(tmp_path / "down" / "c.txt"))
    mox.copy(str(tmp_path / "down" / "c.txt"), f"{root}/up/")
    mox.copy(str(tmp_path / "down" / "c.txt"), f"{root}/d")
    assert names(root) == ["d/a.txt", "d/c.txt", "new/b.txt", "up/c.txt"]
    assert mox.read(f"{root}/up/c.txt") == "content of d/a.txt"
    with pytest.raises(IsADirectoryError, match=r"copy_parallel"):
        mox.copy(f"{root}/d", f"{root}/x")
    with pytest.raises(mox.MoxFileNotExistsException, match=r"nearest"):
        mox.copy(f"{root}/d/b.txt", f"{root}/x")
    with pytest.raises(shutil.SameFileError):
        mox.copy(f"{root}/d/a.txt", f"{root}/d/a.txt")
    assert mox.read(f"{root}/d/a.txt") == "content of d/a.txt"


@pytest.mark.parametrize("slash", ["", "/"])
def test_copy_parallel_lands_directly_in_the_target(root: str, tmp_path: Path, slash: str) -> None:
    fill(root, "data/a", "data/sub/b", "data2/no")
    mox.make_dirs(f"{root}/data/empty")
    down = tmp_path / "down"
    down.mkdir()
    (down / "mine").write_text("stays")
    mox.copy_parallel(f"{root}/data{slash}", f"{down}{slash}")
    assert sorted(str(p.relative_to(down)) for p in down.rglob("*")) == ["a", "empty", "mine", "sub", "sub/b"]
    mox.copy_parallel(f"{down}{slash}", f"{root}/up{slash}")
    assert mox.list_directory(f"{root}/up", recursive=True) == ["a", "empty", "mine", "sub", "sub/b"]
    mox.copy_parallel(f"{root}/up{slash}", f"{root}/again{slash}", threads=0, is_processing=False)
    assert names(f"{root}/again") == ["a", "mine", "sub/b"] and (down / "mine").read_text() == "stays"


def test_copy_parallel_of_a_file(root: str, tmp_path: Path) -> None:
    fill(root, "tiny.tar")
    mox.copy_parallel(f"{root}/tiny.tar", str(tmp_path / "tiny2.tar"))
    mox.copy_parallel(str(tmp_path / "tiny2.tar"), f"{root}/in/")
    mox.copy_parallel(str(tmp_path / "tiny2.tar"), f"{root}/exact")
    assert names(root) == ["exact", "in/tiny2.tar", "tiny.tar"]


def test_copy_parallel_of_some(root: str, tmp_path: Path) -> None:
    fill(root, "data/a", "data/sub/b", "data/c")
    mox.copy_parallel(f"{root}/data", str(tmp_path / "some"), file_list=["a", "./sub/b"])
    assert sorted(str(p.relative_to(tmp_path / "some")) for p in (tmp_path / "some").rglob("*")) == [
        "a",
        "sub",
        "sub/b",
    ]
    with pytest.raises(mox.MoxFileNotExistsException, match=r"none, zero"):
        mox.copy_parallel(f"{root}/data", str(tmp_path / "more"), file_list=["c", "none", "zero"])
    assert (tmp_path / "more" / "c").exists()
    with pytest.raises(OSError, match=r"file_list"):
        mox.copy_parallel(f"{root}/data", str(tmp_path / "more"), file_list=["../tiny"])


def test_copy_parallel_of_nothing(root: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(mox.MoxFileNotExistsException, match=r"not-there"):
        mox.copy_parallel(f"{root}/not-there", str(tmp_path / "x"))
    assert "No files to copy" in caplog.text and not (tmp_path / "x").exists()
    mox.make_dirs(f"{root}/empty")
    mox.copy_parallel(f"{root}/empty", str(tmp_path / "x"))
    assert os.listdir(tmp_path / "x") == []
    fill(root, "d/a")
    with pytest.raises(OSError, match=r"inside"):
        mox.copy_parallel(f"{root}/d", f"{root}/d/e")


def test_copy_manifest(root: str, tmp_path: Path) -> None:
    fill(root, "set/1/x.jpg", "set/2/x.jpg", "set/1/x.xml")
    lines = [
        {
            "source": f"{root}/set/1/x.jpg",
            "annotation": [{"annotation-loc": f"{root}/set/1/x.xml", "name": "a"}],
        },
        {"source": f"{root}/set/2/x.jpg", "usage": "TRAIN"},
        {"source": "content://a text"},
    ]
    mox.write(f"{root}/V1.manifest", "\n".join(map(json.dumps, lines)) + "\n\n")
    path, count = mox.copy_manifest(f"{root}/V1.manifest", str(tmp_path / "data") + "/")
    moved = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert path == str(tmp_path / "data" / "V1.manifest") and count == (3 if "://" in root else 0)
    assert Path(moved[0]["source"]).read_text() == "content of set/1/x.jpg"
    assert Path(moved[1]["source"]).read_text() == "content of set/2/x.jpg" and moved[1]["usage"] == "TRAIN"
    assert Path(moved[0]["annotation"][0]["annotation-loc"]).read_text() == "content of set/1/x.xml"
    assert moved[2] == lines[2]
    mox.write(f"{root}/bad.manifest", '{"source": "x"}\nno json\n')
    with pytest.raises(ValueError, match=r"line 2"):
        mox.copy_manifest(f"{root}/bad.manifest", str(tmp_path / "data"))


def test_background_sync(root: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("one")
    sync = mox.background_sync_copy(str(tmp_path / "out"), f"{root}/synced", seconds=3600)
    (tmp_path / "out" / "b").write_text("two")
    sync.stop()
    assert sync.last_error is None and names(f"{root}/synced") == ["a", "b"]
    assert mox.read(f"{root}/synced/b") == "two"
    with pytest.raises(ValueError, match=r"seconds"):
        mox.background_sync_copy(str(tmp_path / "out"), f"{root}/synced", seconds=0)
