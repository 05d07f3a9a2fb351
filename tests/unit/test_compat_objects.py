"""What only object storage has: names that are both, versions, parts, refusals, settings."""

import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ma_training.compat.moxing as moxing
from ma_training.compat.moxing import auth, file, file_io
from ma_training.compat.moxing.exceptions import MoxFileRespException

from ..s3_stub import Blob, Stub, stub
from ..support import wait_until

ROOT = "obs://bucket"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("MOX_SILENT_MODE", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with stub() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server
    auth.forget()


def test_an_object_and_a_directory_of_one_name(server: Stub, tmp_path: Path) -> None:
    file.write(f"{ROOT}/d/a", "file")
    file.write(f"{ROOT}/d/a/b", "below")
    assert file.is_directory(f"{ROOT}/d/a") and not file.stat(f"{ROOT}/d/a").is_directory
    with pytest.raises(file.MoxFileNameDuplicateException, match=r"a/b"):
        file.copy_parallel(f"{ROOT}/d", str(tmp_path / "down"))
    assert (tmp_path / "down" / "a").read_text() == "file"
    file.remove(f"{ROOT}/d/a", recursive=True)
    assert list(server.objects) == ["d/a/b"]
    file.write(f"{ROOT}/d/a", "file")
    file.remove(f"{ROOT}/d/a/", recursive=True)
    assert list(server.objects) == ["d/a"]


def test_names_that_would_leave_the_target(server: Stub, tmp_path: Path) -> None:
    for key in ("d/../../evil", "d/good", "d//double"):
        server.objects[key] = Blob(b"x", "e", {})
    with pytest.raises(MoxFileRespException, match=r"evil"):
        file.copy_parallel(f"{ROOT}/d", str(tmp_path / "in" / "down"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and "state" not in path.parts] == [
        "good"
    ]


def test_a_missing_bucket(server: Stub) -> None:
    assert not file.exists("obs://nobodys-bucket") and not file.exists("obs://nobodys-bucket/a")
    assert not file.is_directory("obs://nobodys-bucket")
    for ask in (file.list_directory, file.stat, file.read):
        with pytest.raises(file.MoxFileNotExistsException):
            ask("obs://nobodys-bucket/a")
    with pytest.raises(file.MoxFileRespException):
        file.write("obs://nobodys-bucket/a", "x")


def test_a_whole_bucket_is_never_removed(server: Stub, tmp_path: Path) -> None:
    file.write(f"{ROOT}/a", "x")
    for url in (ROOT, f"{ROOT}/", "/"):
        with pytest.raises(OSError, match=r"would be emptied"):
            file.remove(url, recursive=True)
    with pytest.raises(OSError, match=r"would be emptied"):
        file.rename(ROOT, str(tmp_path / "there"))
    assert list(server.objects) == ["a"] and file.exists(ROOT) and file.stat(ROOT).is_directory


def test_replaced_while_it_is_read(server: Stub) -> None:
    file.write(f"{ROOT}/a", "x" * (3 << 20))
    with file.File(f"{ROOT}/a", "rb") as opened:
        opened.read(10)
        file.write(f"{ROOT}/a", "y" * (3 << 20))
        opened.seek(-9, 2)
        with pytest.raises(file.MoxFileReadException) as caught:
            opened.read()
    assert caught.value.resp.status == 200


def test_written_by_others_meanwhile(server: Stub, tmp_path: Path) -> None:
    file.write(f"{ROOT}/a", "one")
    opened = file.File(f"{ROOT}/a", "r+")
    opened.write("two")
    file.write(f"{ROOT}/a", "others'")
    with pytest.raises(file.MoxFileReadException, match=r"changed by others") as caught:
        opened.close()
    assert opened.closed and file.read(f"{ROOT}/a") == "others'"
    kept = str(caught.value).rpartition(" ")[2]
    assert Path(kept).read_text() == "two"


def test_an_error_while_writing_leaves_what_was_there(
    server: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(f"{ROOT}/model", "whole")
    with pytest.raises(KeyError):
        break_while_writing("model", "w", "half")
    assert file.read(f"{ROOT}/model") == "whole"
    (kept,) = tmp_path.glob("moxing-unsent-*")
    assert kept.read_text() == "half" and str(kept) in caplog.text
    with pytest.raises(KeyError):
        break_while_writing("log", "a", "last words")
    assert file.read(f"{ROOT}/log") == "last words"


def break_while_writing(name: str, mode: str, text: str) -> None:
    with file.File(f"{ROOT}/{name}", mode) as opened:
        opened.write(text)
        raise KeyError("x")


def test_nothing_stays_in_the_temporary_directory(server: Stub, tmp_path: Path) -> None:
    file.write(f"{ROOT}/a", "x")
    file.append(f"{ROOT}/a", "y")
    with file.File(f"{ROOT}/a", "r+") as opened:
        opened.write("z")
    with pytest.raises(FileNotFoundError):
        file.File(f"{ROOT}/none", "r+")
    assert not list(tmp_path.glob("moxing-*"))


def test_large_writes_go_in_parts(server: Stub) -> None:
    data = bytes(range(256)) * (40 << 10)  # 10 MiB
    file.write(f"{ROOT}/large", data)
    assert server.objects["large"].data == data
    assert sum("partNumber" in path for _, path, _ in server.requests) == 2
    file.append(f"{ROOT}/large", b"!")
    assert server.objects["large"].data == data + b"!" and not server.uploads


def test_a_jump_forwards_asks_once(server: Stub) -> None:
    file.write(f"{ROOT}/a", bytes(8 << 20))
    with file.File(f"{ROOT}/a", "rb") as opened:
        opened.seek(7 << 20)
        opened.read(1 << 19)
        before = len(server.requests)
        opened.read(1 << 18)
        opened.read(1 << 18)
    assert len(server.requests) == before


def test_moved_away_while_it_changes(server: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ma_training.compat.moxing import copying

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "still").write_text("same")
    (tmp_path / "d" / "log").write_text("old")
    real = copying.tree

    def tree(*words: object) -> None:
        real(*words)  # type: ignore[arg-type]
        (tmp_path / "d" / "log").write_text("new lines")

    monkeypatch.setattr(copying, "tree", tree)
    file.rename(str(tmp_path / "d"), f"{ROOT}/d")
    assert file.read(f"{ROOT}/d/log") == "old" and (tmp_path / "d" / "log").read_text() == "new lines"
    assert not (tmp_path / "d" / "still").exists()


def test_links_are_not_lost_by_a_move(server: Stub, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match=r"link"):
        file.rename(str(tmp_path / "d"), f"{ROOT}/d")
    assert (tmp_path / "d" / "link").is_symlink() and not server.objects


def test_a_moved_file_takes_no_neighbour_along(server: Stub, tmp_path: Path) -> None:
    (tmp_path / "d" / "empty").mkdir(parents=True)
    (tmp_path / "d" / "a").write_text("x")
    file.rename(str(tmp_path / "d" / "a"), f"{ROOT}/a")
    assert (tmp_path / "d" / "empty").is_dir() and not (tmp_path / "d" / "a").exists()


def test_a_copy_that_fails_in_part_says_which(server: Stub, tmp_path: Path) -> None:
    file.write(f"{ROOT}/d/good", "x")
    server.objects["d/" + "n" * 300] = Blob(b"x", "e", {})
    with pytest.raises(file.MoxFileRespException, match=r"1 of the files.*\n.*nnn.*255"):
        file.copy_parallel(f"{ROOT}/d", str(tmp_path / "down"))
    assert (tmp_path / "down" / "good").exists()


def test_faults_on_the_way_are_made_up_for(server: Stub, tmp_path: Path) -> None:
    for number in range(40):
        server.objects[f"d/{number}"] = Blob(bytes([number]) * 5000, f"e{number}", {})
    server.unavailable = server.cut = 0.1
    file.copy_parallel(f"{ROOT}/d", str(tmp_path / "down"))
    assert all((tmp_path / "down" / str(n)).read_bytes() == bytes([n]) * 5000 for n in range(40))


def test_a_large_selection(server: Stub, tmp_path: Path) -> None:
    keys = [f"{number:03}" for number in range(400)]
    for key in keys:
        server.objects[f"d/{key}"] = Blob(b"x", "e", {})
    file.copy_parallel(f"{ROOT}/d", str(tmp_path / "down"), file_list=keys[50:350])
    assert sorted(path.name for path in (tmp_path / "down").iterdir()) == keys[50:350]


# --- background_sync_copy ---


def test_sync_goes_on_after_an_error(server: Stub, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("1")
    server.forbid = (403, "AccessDenied")
    sync = file.background_sync_copy(str(tmp_path / "out"), f"{ROOT}/out", seconds=0.01)
    wait_until(lambda: sync.rounds > 1, "rounds")
    assert sync.last_error is not None
    server.forbid = None
    wait_until(lambda: "out/a" in server.objects, "the upload")
    before = len([path for method, path, _ in server.requests if method == "PUT"])
    wait_until(lambda: sync.rounds > 5 and sync.last_error is None, "more rounds")
    (tmp_path / "out" / "a").write_text("22")
    sync.stop()
    assert server.objects["out/a"].data == b"22"
    assert len([path for method, path, _ in server.requests if method == "PUT"]) == before + 1
    assert not sync._thread.is_alive() and sync._thread not in threading.enumerate()


# --- settings ---


def test_set_auth(server: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(f"{ROOT}/a", "x")
    for name in server.environ:
        monkeypatch.delenv(name)
    with pytest.raises(OSError, match=r"S3_ENDPOINT"):
        file.read(f"{ROOT}/a")
    canary = "canary-of-a-secret"
    file.set_auth(ak="stub-key", sk=canary, server="127.0.0.1", port=server.port, is_secure=False, retry=2)
    file.set_auth(
        path_style=True, ssl_verify=False, client_timeout=7, timeout_config={"getObject": 9, "x": None}
    )
    assert file.read(f"{ROOT}/a") == "x"
    found = auth.endpoint("obs")
    assert (found.url, found.tries, found.read_timeout) == (f"http://127.0.0.1:{server.port}", 2, 9)
    assert found.path_style and not found.verify and canary not in repr(auth._auth)
    for words in ({"ak": "x"}, {"sk": "x"}, {"port": 443}):
        with pytest.raises(ValueError, match=r"set_auth"):
            file.set_auth(**words)  # type: ignore[arg-type]


def test_is_secure_alone_changes_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT", "https://obs.cn-north-4.myhuaweicloud.com")
    try:
        file.set_auth(is_secure=False)
        assert auth.endpoint("obs").url == "http://obs.cn-north-4.myhuaweicloud.com"
    finally:
        auth.forget()


def test_knobs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_io._LARGE_FILE_METHOD == 2 and file_io._LARGE_FILE_TASK_NUM == 32
    assert file_io._PARTIAL_MAXIMUM_SIZE == 5 << 30 and file_io.copy_parallel is file.copy_parallel
    assert [file_io.threads_for_tree(n) for n in (0, -1, 16, 9999)] == [1, 1, 16, 256]
    assert file_io.threads_for_file(6 << 30) == 32 and file_io.threads_for_file(1 << 30) == 16
    monkeypatch.setattr(file_io, "_NUMBER_OF_PROCESSES", 1)
    monkeypatch.setattr(file_io, "_LARGE_FILE_TASK_NUM", 1)
    assert file_io.threads_for_tree(16) == 1 and file_io.threads_for_file(6 << 30) == 1
    assert file_io.number("X", 3, {"X": " 7 "}) == 7 and file_io.number("X", 3, {}) == 3
    for text in ("0", "-1", "five", "1.5", "٣"):
        with pytest.raises(ValueError, match=r"X is"):
            file_io.number("X", 3, {"X": text})
    assert [file_io.is_silent({"MOX_SILENT_MODE": text}) for text in ("", "0", "1", "true")] == [0, 0, 1, 1]


def test_exceptions_go_from_process_to_process() -> None:
    with pytest.raises(file.MoxFileNotExistsException) as caught:
        file.stat("/not/there")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.resp.status == 404 and again.errno == caught.value.errno
    double = pickle.loads(pickle.dumps(file.MoxFileNameDuplicateException("a")))
    assert str(double) == "a" and isinstance(double, OSError)


def test_what_is_not_rebuilt_says_so() -> None:
    for name in ("run", "tensorflow", "mxnet", "pytorch"):
        with pytest.raises(AttributeError, match=r"not rebuilt here(.|\n)*hint"):
            getattr(moxing, name)
    with pytest.raises(AttributeError, match=r"mox.file.copy_parallel"):
        moxing.copy_parallel  # noqa: B018
    with pytest.raises(AttributeError, match=r"only mox.file"):
        moxing.something  # noqa: B018
    with pytest.warns(UserWarning, match=r"background_sync_copy"):
        moxing.cache()


def test_what_is_no_path(server: Stub, tmp_path: Path) -> None:
    for url in ("obs:///a", "obs://b", "gs://bucket/a", "obs:/bucket/a", "obs://user:pass@bucket/a", ""):
        with pytest.raises(OSError, match=r"hint|hold|no URL"):
            file.copy(url, str(tmp_path / "x"))
    for url in (3, None):
        with pytest.raises(OSError, match=r"neither a path nor a URL"):
            file.copy(url, "x")  # type: ignore[arg-type]


def _fetch(environ: dict[str, str], folder: str) -> None:
    import os

    os.environ.update(environ)
    file.copy_parallel(f"{ROOT}/d", folder)


def test_all_ranks_fetch_the_same_at_once(server: Stub, tmp_path: Path) -> None:
    server.objects["d/large"] = Blob(bytes(range(256)) * (72 << 10), "large", {})
    for number in range(30):
        server.objects[f"d/{number}"] = Blob(bytes([number]) * 3000, f"e{number}", {})
    spawn = multiprocessing.get_context("spawn")
    ranks = [spawn.Process(target=_fetch, args=(server.environ, str(tmp_path / "cache"))) for _ in range(4)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
        rank.kill()
    assert [rank.exitcode for rank in ranks] == [0] * 4
    found = {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    assert found == {key.removeprefix("d/"): blob.data for key, blob in server.objects.items()}


def test_forked_workers_read(server: Stub) -> None:
    file.write(f"{ROOT}/a", "x" * 1000)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(file.get_size, [f"{ROOT}/a"] * 20) == [1000] * 20
