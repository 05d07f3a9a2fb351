"""What a real server makes of us: signatures, TLS, both kinds of address, refusals, cut connections."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ma_training.storage import (
    Changed,
    Leftovers,
    NotFound,
    Refused,
    Store,
    Task,
    copy_tree,
    open_store,
    worker_variables,
)
from ma_training.storage.hosts import host_of
from ma_training.storage.transfer import SMALL
from ma_training.testing import FaultProxy

from ..s3_stub import names_here
from ..store_contract import CONTRACT
from ..support import COMMAND
from .rgw import Rgw

SOAK = bool(os.environ.get("SOAK"))


def environ_of(rgw: Rgw, kind: str) -> dict[str, str]:
    scheme, _, style = kind.partition("-")
    port = rgw.http if scheme == "http" else rgw.tls
    host = "127.0.0.1" if style == "path" else "localhost"
    return rgw.environ | {"S3_ENDPOINT": f"{scheme}://{host}:{port}", "S3_ADDRESSING_STYLE": style}


@pytest.fixture
def here(rgw: Rgw, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(rgw.certificate))
    with names_here(".localhost"):
        yield


@pytest.mark.parametrize("kind", ["http-path", "http-virtual", "https-path", "https-virtual"])
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(check: Callable[[Store], None], kind: str, rgw: Rgw, bucket: str, here: None) -> None:
    check(open_store(f"obs://{bucket}/in/here/", environ_of(rgw, kind)))


def test_more_than_a_page(rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    for number in range(1003):
        (tmp_path / f"{number}").touch()
    store = open_store(f"s3://{bucket}", rgw.environ)
    assert copy_tree(Task(open_store(tmp_path), store)).complete
    assert len(list(store.list())) == len(store.list_directory()[1]) == 1003
    assert copy_tree(Task(open_store(tmp_path), store)).kept == 1003


def test_wrong_secret_is_not_shown(rgw: Rgw, bucket: str) -> None:
    wrong = rgw.environ | {"AWS_SECRET_ACCESS_KEY": "wrong-canary"}
    store = open_store(f"s3://{bucket}", wrong)
    for action in (lambda: store.put("a", b"x"), lambda: list(store.list()), lambda: store.head("a")):
        with pytest.raises(Refused) as caught:
            action()
        assert "canary" not in str(caught.value) + repr(caught.value)


def test_unknown_key_and_bucket(rgw: Rgw, bucket: str) -> None:
    with pytest.raises(Refused, match="of this cloud and region"):
        open_store(f"s3://{bucket}", rgw.environ | {"AWS_ACCESS_KEY_ID": "nobody"}).put("a", b"")
    with pytest.raises(NotFound, match="NoSuchBucket"):
        open_store("s3://no-such-bucket", rgw.environ).put("a", b"")


def test_clock_that_is_wrong(rgw: Rgw, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", rgw.environ)
    host = host_of(f"127.0.0.1:{rgw.http}")
    for action in (lambda: store.put("a", b"x"), lambda: store.head("a"), lambda: list(store.list())):
        host.clock_offset = -7200.0
        assert action()
        assert abs(host.clock_offset) < 60


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_certificate_that_is_not_trusted(rgw: Rgw, bucket: str) -> None:
    environ = {**rgw.environ, "S3_ENDPOINT": f"https://127.0.0.1:{rgw.tls}"}
    with pytest.raises(Refused, match="AWS_CA_BUNDLE"):
        open_store(f"s3://{bucket}", environ).head("a")
    assert open_store(f"s3://{bucket}", environ | {"S3_VERIFY_SSL": "0"}).head("a") is None


def test_boto3_of_a_users_script_works_with_what_workers_get(
    rgw: Rgw, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an article of the guide: boto3 as it comes, upload_file, an endpoint, keys."""
    found = worker_variables({"S3_ENDPOINT": "https://obs.cn-north-4.myhuaweicloud.com"})
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    client = boto3.client(
        "s3",
        endpoint_url=f"https://127.0.0.1:{rgw.tls}",
        verify=str(rgw.certificate),
        region_name="us-east-1",
        aws_access_key_id=rgw.access_key,
        aws_secret_access_key=rgw.secret_key,
    )
    client.upload_file(__file__, bucket, "script.py")
    assert (
        client.head_object(Bucket=bucket, Key="script.py")["ContentLength"] == Path(__file__).stat().st_size
    )


# --- a network that fails ---


@pytest.fixture
def proxy(rgw: Rgw) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", rgw.http) as proxy:
        yield proxy


def through(rgw: Rgw, proxy: FaultProxy) -> dict[str, str]:
    return rgw.environ | {"S3_ENDPOINT": f"http://127.0.0.1:{proxy.address[1]}"}


def test_download_that_is_cut(rgw: Rgw, bucket: str, proxy: FaultProxy) -> None:
    data = random.Random(1).randbytes(3 << 20)
    open_store(f"s3://{bucket}", rgw.environ).put("a", data)
    with open_store(f"s3://{bucket}", through(rgw, proxy)).open("a") as reader:
        got = reader.read(1000)
        proxy.truncate(100_000, "to_client")
        got += reader.read(1 << 20)
        proxy.restore()
        got += reader.read(1 << 20)
        proxy.reset()
        got += reader.read()
    assert got == data


def test_upload_that_is_cut(rgw: Rgw, bucket: str, proxy: FaultProxy) -> None:
    """The server shows nothing of it; the next try writes all."""
    store, direct = (open_store(f"s3://{bucket}", environ) for environ in (through(rgw, proxy), rgw.environ))
    data = random.Random(1).randbytes(3 << 20)
    proxy.truncate(1 << 20, "to_server")
    with pytest.MonkeyPatch.context() as patch:
        calls = store._calls  # type: ignore[attr-defined]
        wait = calls.host.wait

        def restored(attempt: int) -> None:
            assert direct.head("a") is None
            proxy.restore()
            wait(attempt)

        patch.setattr(calls.host, "wait", restored)
        store.put("a", data)
    with direct.open("a") as reader:
        assert reader.read() == data


def test_object_that_is_replaced_while_it_is_read(rgw: Rgw, bucket: str, proxy: FaultProxy) -> None:
    direct = open_store(f"s3://{bucket}", rgw.environ)
    direct.put("a", bytes(8 << 20))
    with open_store(f"s3://{bucket}", through(rgw, proxy)).open("a") as reader:
        reader.read(10)
        proxy.reset()
        direct.put("a", b"\1" * (8 << 20))
        with pytest.raises(Changed):
            reader.read()


# --- copies ---


def test_trees_there_and_back(rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    chance = random.Random(2)
    content = {f"d{n % 5}/f{n}": chance.randbytes(chance.randrange(3000)) for n in range(100)}
    content["big"] = chance.randbytes(5 * SMALL + 1)
    for name, data in content.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    store = open_store(f"obs://{bucket}/x", rgw.environ)
    assert copy_tree(Task(open_store(tmp_path / "in"), store)).complete
    found = store.head("big")
    assert found and found.metadata["sha256"] == hashlib.sha256(content["big"]).hexdigest()
    root = open_store(f"obs://{bucket}", rgw.environ)
    other = open_store(f"obs://{bucket}/y", rgw.environ)
    assert copy_tree(Task(store, other, within=root)).complete
    assert copy_tree(Task(other, open_store(tmp_path / "out"))).complete
    assert {name: (tmp_path / "out" / name).read_bytes() for name in content} == content
    assert copy_tree(Task(open_store(tmp_path / "out"), store)).kept == len(content)
    assert list(root.unfinished()) == []


def launcher(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [COMMAND, *words], env=os.environ | environ, text=True, capture_output=True, timeout=60
    )


def test_commands(rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    environ = rgw.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    (tmp_path / "data" / "d").mkdir(parents=True)
    (tmp_path / "data" / "d" / "x").write_text("hello")

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        done = launcher(*words, **environ)
        assert done.returncode == 0, done.stderr
        return done

    run("cp", f"{tmp_path}/data/", f"obs://{bucket}/copy")  # keeps the last directory, slash or not
    run("cp", f"{tmp_path}/data", f"obs://{bucket}/drop/", "--drop-last-dir")
    listed = run("ls", f"obs://{bucket}/", "-r", "--json").stdout.splitlines()
    assert [json.loads(line)["url"] for line in listed] == [
        f"obs://{bucket}/copy/data/d/x",
        f"obs://{bucket}/drop/d/x",
    ]
    run("cp", f"obs://{bucket}/copy/data/d/x", f"{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "hello"
    run("sync", f"obs://{bucket}/drop", f"{tmp_path}/synced")
    assert (tmp_path / "synced" / "d" / "x").read_text() == "hello"
    assert json.loads(run("sync", f"obs://{bucket}/drop", f"{tmp_path}/synced", "--json").stdout)["kept"] == 1
    missing = launcher("cp", f"obs://{bucket}/copy/dat/d", str(tmp_path / "no"), **environ)
    assert missing.returncode == 1 and f"the nearest that there is: obs://{bucket}/copy/" in missing.stderr


COPIER = """
import sys
from ma_training.storage import *
source, target = open_store(sys.argv[1]), open_store(sys.argv[2])
with Leftovers(target) as leftovers:
    leftovers.abort()
    give_back_memory()
    print("begun", flush=True)
    sys.exit(not copy_tree(Task(source, target, leftovers=leftovers)).complete)
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_killed_anywhere(down: bool, rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    chance = random.Random(9)
    content = {f"f{n}": chance.randbytes(2000) for n in range(60)} | {"big": chance.randbytes(4 * SMALL)}
    (tmp_path / "in").mkdir()
    for name, data in content.items():
        (tmp_path / "in" / name).write_bytes(data)
    store = open_store(f"s3://{bucket}", rgw.environ)
    environ = os.environ | rgw.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    if down:
        assert copy_tree(Task(open_store(tmp_path / "in"), store)).complete
    places = (f"s3://{bucket}", str(tmp_path / "out")) if down else (str(tmp_path / "in"), f"s3://{bucket}")
    target = open_store(tmp_path / "out") if down else store

    def copier() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", COPIER, *places], env=environ, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout and process.stdout.readline() == "begun\n"
        return process

    for _ in range(100 if SOAK else 10):
        for entry in list(target.list()):
            target.delete(entry.key)
        with copier() as process:
            try:
                process.wait(chance.uniform(0, 0.6))
            except subprocess.TimeoutExpired:
                process.kill()
        for entry in target.list():
            with target.open(entry.key) as reader:
                assert reader.read() == content[entry.key]
        with copier() as process:
            assert process.wait(60) == 0
        assert {entry.key: entry.size for entry in target.list()} == {
            name: len(data) for name, data in content.items()
        }
        assert list(store.unfinished()) == []


def test_leftovers_are_found(rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{bucket}/d", rgw.environ)
    environ: dict[str, Any] = rgw.environ | {"XDG_STATE_HOME": str(tmp_path)}
    with Leftovers(store, environ) as notes:
        upload = store.upload("x", SMALL)
        notes.add("x", upload.id)
        (note,) = tmp_path.rglob("*.uploads")
    assert note.exists()
    assert Leftovers(store, environ).abort() == 1
    assert list(store.unfinished()) == []
    with Leftovers(store, environ) as notes:
        notes.intend("y")
        store.upload("y", SMALL)
        others = store.upload("y2", SMALL)
        notes._open_ones.add("unknown")  # as after a kill between the two
    assert Leftovers(store, environ).abort() == 1
    assert [found.id for found in store.unfinished()] == [others.id]


def test_memory_is_bounded(rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    """Large parts and many names at once stay below 256 MB."""
    (tmp_path / "in").mkdir()
    for number in range(20_000 if SOAK else 2_000):
        (tmp_path / "in" / f"{number:06}-{'n' * 60}").touch()
    with open(tmp_path / "in" / "big", "wb") as file:
        file.truncate(40 * SMALL)
    script = COPIER + "\n"
    # Not ru_maxrss: a child has that of its parent to begin with.
    program = f"try:\n    exec({script!r})\nfinally:\n    print(open('/proc/self/status').read())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "in"), f"s3://{bucket}"],
        env=os.environ | rgw.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (peak,) = (line for line in done.stdout.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) < 256_000
