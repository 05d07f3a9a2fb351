"""``launcher cp``, ``sync`` and ``ls``: where things end up, exit codes, JSON, and what bad input is told."""

import json
import os
import pty
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ma_training.storage import Journal, journal_path
from ma_training.storage import progress as progress_module
from ma_training.storage.progress import Progress

from ..s3_stub import KEYS, Stub, stub
from ..support import COMMAND, wait_until

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


@pytest.fixture
def run(server: Stub, tmp_path: Path) -> Run:
    def run(*words: str, **environ: str) -> Done:
        ours = server.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path / "home")}
        given = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
        done = subprocess.run(
            [COMMAND, *words],
            env=given | ours | environ,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
        return done

    return run


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "d").mkdir(parents=True)
    (tmp_path / "data" / "a").write_text("a")
    (tmp_path / "data" / "d" / "b").write_text("b")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("data", "obs://bucket/x"), ["x/data/a", "x/data/d/b"]),
        (("data/", "obs://bucket/x/"), ["x/data/a", "x/data/d/b"]),
        (("-d", "data/", "obs://bucket/x/"), ["x/a", "x/d/b"]),
        (("data", "obs://bucket/x", "--drop-last-dir", "-r"), ["x/a", "x/d/b"]),
        (("data", "obs://bucket"), ["data/a", "data/d/b"]),
        (("data/a", "obs://bucket/x"), ["x"]),
        (("data/a", "obs://bucket/x/"), ["x/a"]),
        (("data/a", "obs://bucket"), ["a"]),
    ],
)
def test_where_uploads_go(
    words: tuple[str, ...], expected: list[str], run: Run, server: Stub, data: Path
) -> None:
    assert run("cp", *words).returncode == 0
    assert sorted(server.objects) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("obs://bucket/p/data", "out"), ["data/a", "data/d/b"]),
        (("obs://bucket/p/data/", "out/", "-d"), ["a", "d/b"]),
        (("obs://bucket", "out"), ["other", "p/data/a", "p/data/d/b", "p/dataset"]),
        (("obs://bucket/p/data/a", "out/new"), ["new"]),
        (("obs://bucket/p/data/a", "out/"), ["a"]),
    ],
)
def test_where_downloads_go(
    words: tuple[str, ...], expected: list[str], run: Run, tmp_path: Path, data: Path
) -> None:
    assert run("cp", "data", "obs://bucket/p").returncode == 0
    for other in ("p/dataset", "other"):  # "p/data" is not a prefix of it, but "p/data/" would be
        assert run("cp", "data/a", f"obs://bucket/{other}").returncode == 0
    done = run("cp", *words)
    assert done.returncode == 0 and files(tmp_path / "out") == expected, done.stderr


def test_within_a_bucket_the_server_copies(run: Run, server: Stub, data: Path) -> None:
    run("cp", "data", "obs://bucket/p")
    server.requests.clear()
    assert run("cp", "obs://bucket/p/data", "obs://bucket/q").returncode == 0
    assert run("cp", "obs://bucket/p/data/a", "obs://bucket/r").returncode == 0
    assert {"q/data/a", "q/data/d/b", "r"} < set(server.objects)
    assert not [path for command, path, _ in server.requests if command == "GET" and "?" not in path]


def test_sync(run: Run, server: Stub, data: Path, tmp_path: Path) -> None:
    first = json.loads(run("sync", "data", "obs://bucket/x/", "--json").stdout)
    assert (first["files"], first["kept"], first["complete"]) == (2, 0, True)
    (data / "a").unlink()
    (data / "d" / "b").write_text("B")
    lines = run("sync", "data/", "obs://bucket/x", "--delete", "--dry-run").stdout.splitlines()
    assert [line.split() for line in lines] == [["delete", "a"], ["compare", "d/b"]]
    assert sorted(server.objects) == ["x/a", "x/d/b"]
    assert run("sync", "data/", "obs://bucket/x", "--delete").returncode == 0
    assert {key: blob.data for key, blob in server.objects.items()} == {"x/d/b": b"B"}
    assert run("sync", "obs://bucket/x", "back").returncode == 0
    assert files(tmp_path / "back") == ["d/b"] and (data / "d" / "b").exists()


def test_sync_twice_at_a_time(run: Run, data: Path, tmp_path: Path) -> None:
    path = journal_path(str(data), "obs://bucket/x", {"XDG_STATE_HOME": str(tmp_path / "state")})
    with Journal(path):
        done = run("sync", "data", "obs://bucket/x")
        assert done.returncode == 1 and "another sync" in done.stderr


def test_ls(run: Run, server: Stub, data: Path) -> None:
    run("cp", "data", "obs://bucket")
    assert [line.split()[-1] for line in run("ls", "obs://bucket/data").stdout.splitlines()] == ["d/", "a"]
    records = [json.loads(line) for line in run("ls", "-r", "--json", "obs://bucket").stdout.splitlines()]
    assert [(record["v"], record["url"], record["bytes"]) for record in records] == [
        (1, "obs://bucket/data/a", 1),
        (1, "obs://bucket/data/d/b", 1),
    ]
    assert run("ls", "obs://bucket/data/a").stdout.split()[-1] == "a"
    assert run("ls", "data").stdout.splitlines()[-1].split()[-1] == "a"
    server.objects["\x1b[2J"] = server.objects["data/a"]
    assert "\x1b" not in run("ls", "obs://bucket").stdout


# --- bad input ---


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("cp", "one"), "a source and a target"),
        (("cp", "--recursiv", "a", "b"), "did you mean --recursive?"),
        (("cp", "a", "b", "--workers", "0"), "not a number from 1 to 256"),
        (("cp", "a", "b", "--workers"), "needs a value"),
        (("cp", "a", "b", "--json=1"), "unknown option"),
        (("cp", "obs:/bucket/x", "b"), "write obs://bucket/x"),
        (("cp", "http://host/x", "b"), "not known here"),
        (("cp", "data", "x", "--code-limits", "9G"), "one of 5G, 128M"),
        (("cp", "data/a", "x", "--unpack"), "tar or zip"),
        (("cp", "data", "data/inside"), "inside one another"),
        (("cp", "data", "."), "inside one another"),
        (("cp", "data/a", "data"), "onto itself"),
        (("sync", "data", "data/d"), "inside one another"),
        (("ls",), ""),
        (("ls", "a", "b"), "takes one URL"),
    ],
)
def test_what_makes_no_sense_is_64(words: tuple[str, ...], text: str, run: Run, data: Path) -> None:
    before = files(data)
    done = run(*words)
    assert done.returncode == 64 and text in done.stderr + done.stdout
    assert files(data) == before


@pytest.mark.parametrize(
    ("words", "environ", "text"),
    [
        (("cp", "nowhere", "obs://bucket/x"), {}, "the nearest directory that there is"),
        (
            ("cp", "obs://bucket/data/x/y", "out"),
            {},
            "the nearest that there is: obs://bucket/data/ with d/, a",
        ),
        (("cp", "obs://nobody/x", "out"), {}, "NoSuchBucket"),
        (("ls", "obs://bucket"), {"AWS_SECRET_ACCESS_KEY": ""}, "AWS_ACCESS_KEY_ID is set, and"),
        (
            ("ls", "obs://bucket"),
            {"AWS_SECRET_ACCESS_KEY": "", "AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"},
            "no credentials for obs:// were found",
        ),
        (("sync", "data/a", "obs://bucket/x"), {}, "there is no"),
    ],
)
def test_what_is_not_there_is_1(
    words: tuple[str, ...], environ: dict[str, str], text: str, run: Run, data: Path, tmp_path: Path
) -> None:
    run("cp", "data", "obs://bucket")
    done = run(*words, **environ)
    assert done.returncode == 1 and text in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_endpoint_without_a_scheme(run: Run, server: Stub, data: Path) -> None:
    bare = server.environ["S3_ENDPOINT"].removeprefix("http://")
    assert run("cp", "data", "obs://bucket", S3_ENDPOINT=bare, S3_USE_HTTPS="0").returncode == 0
    assert "no endpoint" in run("ls", "obs://bucket", S3_ENDPOINT="ftp://x").stderr


def test_code_limits(run: Run, server: Stub, data: Path) -> None:
    deep = data.joinpath(*"x" * 32)
    deep.mkdir(parents=True)
    (deep / "f").touch()
    done = run("cp", "data", "obs://bucket", "--code-limits", "5G")
    assert done.returncode == 1 and "33 deep, 32 are allowed" in done.stderr
    assert server.objects == {}
    assert run("cp", "data", "obs://bucket", "--code-limits=128m").returncode == 0


def test_unpack(run: Run, server: Stub, data: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(data, "data")
    run("cp", "x.tar.gz", "obs://bucket")
    assert run("cp", "obs://bucket/x.tar.gz", "out", "--unpack").returncode == 0
    assert files(tmp_path / "out") == ["data/a", "data/d/b"]
    assert not list(tmp_path.glob("out-*"))
    assert run("cp", "obs://bucket/x.tar.gz", "out", "--unpack").returncode == 1


def test_links_are_left_out_and_named(run: Run, server: Stub, data: Path) -> None:
    (data / "link").symlink_to("/etc/passwd")
    done = run("cp", "data", "obs://bucket")
    assert done.returncode == 0 and "left out link: it is a symbolic link" in done.stderr
    assert sorted(server.objects) == ["data/a", "data/d/b"]


def test_what_failed_is_named(run: Run, server: Stub, data: Path, tmp_path: Path) -> None:
    run("cp", "data", "obs://bucket")
    server.objects["data/../evil"] = server.objects["data/a"]
    done = run("cp", "obs://bucket/data", "out", "--json")
    record = json.loads(done.stdout)
    assert done.returncode == 1 and not record["complete"]
    assert [failed["key"] for failed in record["failed"]] == ["../evil"]
    assert files(tmp_path / "out") == ["data/a", "data/d/b"]


def test_interrupted(server: Stub, data: Path, tmp_path: Path) -> None:
    server.unavailable = 1.0
    environ = os.environ | server.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    words = [COMMAND, "cp", str(data), "obs://bucket"]
    with subprocess.Popen(words, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: server.requests, "the first request")
            process.send_signal(signal.SIGINT)
            server.unavailable = 0.0
            assert "run it again" in process.communicate(timeout=60)[1]
            assert process.returncode == 130
        finally:
            process.kill()


# --- progress ---


def test_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(progress_module, "EVERY", 0.01)
    with open(tmp_path / "log", "w+") as log, Progress("copying x", log) as progress:
        progress.expect(10, 1 << 20)
        progress.moved(1 << 19)
        progress.finished("a")
        wait_until(lambda: "1 of 10 files, 512 KiB of 1 MiB" in (tmp_path / "log").read_text(), "a line")
        assert "\x1b" not in (tmp_path / "log").read_text()


def test_a_bar_on_a_terminal(server: Stub, data: Path, tmp_path: Path) -> None:
    """It is gone when the copy is over, and the program has not stumbled over it."""
    parent, child = pty.openpty()
    environ = os.environ | server.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"}
    try:
        words = [COMMAND, "cp", str(data), "obs://bucket"]
        done = subprocess.run(words, env=environ, stderr=child, stdout=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0 and "copied 2 files" in done.stdout
        assert b"copying" in os.read(parent, 100_000)
    finally:
        os.close(parent)
        os.close(child)
