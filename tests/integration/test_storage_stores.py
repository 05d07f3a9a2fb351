"""A folder and a bucket do what every store must; a bucket also on a bad day, and by OBS's rules."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import botocore.config
import pytest

from ma_training.storage import (
    BadKey,
    NotFound,
    Refused,
    StorageError,
    Store,
    Unavailable,
    find_endpoint,
    open_store,
)
from ma_training.storage import hosts as hosts_module
from ma_training.storage import s3_client as s3_client_module
from ma_training.testing import FaultProxy

from ..s3_stub import DOMAIN, KEYS, Stub, names_here, stub
from ..store_contract import CONTRACT, MIB


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


@pytest.fixture
def obs() -> Iterator[Stub]:
    """With the real service's names and rules."""
    with stub(DOMAIN) as server, names_here(DOMAIN):
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "pause", lambda attempt, chance: 0.0)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_folder(check: Callable[[Store], None], tmp_path: Path) -> None:
    check(open_store(tmp_path / "not" / "yet"))
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_bucket(check: Callable[[Store], None], server: Stub) -> None:
    check(open_store("s3://bucket/some/where/", server.environ))
    assert all(key.startswith("some/where/") for key in server.objects)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_bucket_of_obs(check: Callable[[Store], None], obs: Stub) -> None:
    check(open_store("obs://bucket/", obs.environ))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_bucket_that_fails_now_and_then(check: Callable[[Store], None], server: Stub) -> None:
    server.unavailable = server.cut = 0.1
    check(open_store("s3://bucket/", server.environ))


def test_what_obs_refuses_is_refused_by_the_stub(obs: Stub) -> None:
    """The rules that the stub holds us to are in force: boto3 as it comes breaks them."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    plain = boto3.client(
        "s3", endpoint_url=obs.environ["S3_ENDPOINT"], region_name="x", config=config, **keys
    )
    with pytest.raises(plain.exceptions.ClientError):
        plain.put_object(Bucket="bucket", Key="k", Body=b"x")
    assert obs.objects == {}


def test_gives_up_in_the_end(server: Stub) -> None:
    server.unavailable = 1.0
    with pytest.raises(Unavailable, match=r"cannot write s3://bucket/a: .*SlowDown.*10 times"):
        open_store("s3://bucket/", server.environ).put("a", b"x")
    assert len(server.requests) == 10


def test_clock_is_corrected(server: Stub) -> None:
    server.skew = 86400.0
    store = open_store("s3://bucket/", server.environ)
    store.put("a", b"x")
    assert len(server.requests) == 2
    server.skew = -7200.0
    assert store.head("a")
    assert len(server.requests) == 4


def test_object_replaced_while_its_body_is_cut(server: Stub) -> None:
    store = open_store("s3://bucket/", server.environ)
    store.put("a", b"x" * MIB)
    server.cut = 1.0
    with store.open("a") as reader:
        reader.read(1000)
        store.put("a", b"y" * MIB)
        with pytest.raises(StorageError, match="read"):
            reader.read()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((403, "SignatureDoesNotMatch"), "secret key does not belong"),
        ((403, "InvalidAccessKeyId"), "of this cloud and region"),
        ((403, "AccessDenied"), "may this account"),
        ((400, "KMS.DisabledException"), "encrypted"),
        ((400, "AuthorizationHeaderMalformed"), "another region"),
        ((400, "IllegalLocationConstraintException"), "another region"),
    ],
)
def test_refusals_say_what_to_do(answer: tuple[int, str], text: str, server: Stub) -> None:
    server.forbid = answer
    with pytest.raises(Refused, match=text) as caught:
        open_store("s3://bucket/", server.environ).put("a", b"x")
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in repr(caught.value) + str(caught.value)
    assert len(server.requests) <= 2  # boto3 asks once more where a bucket might be elsewhere


def test_bucket_that_is_not_there(server: Stub) -> None:
    for action in (lambda store: store.put("a", b""), lambda store: list(store.list())):
        with pytest.raises(NotFound, match="NoSuchBucket"):
            action(open_store("s3://other/", server.environ))


def test_nobody_listens(server: Stub) -> None:
    environ = server.environ
    server.close()
    with pytest.raises(Unavailable, match="connection refused, 10 times"):
        open_store("s3://bucket/", environ).head("a")


def test_keys_that_cannot_be(server: Stub, tmp_path: Path) -> None:
    for key in ("", "a\0b", "x" * 1025, "\udcff"):
        with pytest.raises(BadKey):
            open_store("s3://bucket/", server.environ).put(key, b"x")
    for key in ("", "/etc/x", "..", "../x", "a/../../x", "a//b", "./a", "a\0b", "x" * 256):
        with pytest.raises(BadKey):
            open_store(tmp_path / "in").put(key, b"x")
        with pytest.raises(BadKey):
            open_store(tmp_path / "in").open(key)
    assert list(tmp_path.rglob("*")) == []
    assert server.objects == {}


def test_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    skipped: list[tuple[str, str]] = []
    store = open_store(tmp_path / "in", skipped=lambda *pair: skipped.append(pair))
    assert list(store.list()) == []
    assert skipped == [("link", "a symbolic link"), ("loop", "a symbolic link")]
    for write in (lambda: store.put("link/x", b"x"), lambda: store.upload("link/x", 1)):
        with pytest.raises(BadKey, match="symbolic link"):
            write()
    assert list((tmp_path / "out").iterdir()) == []


def test_server_that_falls_silent(server: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an answer nor an end of the connection: the next try finds it well again."""
    with FaultProxy("127.0.0.1", server.port) as proxy:
        environ = server.environ | {"S3_ENDPOINT": f"http://127.0.0.1:{proxy.address[1]}"}
        endpoint = replace(find_endpoint("s3", environ), read_timeout=0.5)
        store = open_store("s3://bucket/", environ, endpoint=endpoint)
        monkeypatch.setattr(hosts_module.Host, "wait", lambda self, attempt: proxy.restore())
        store.put("a", b"x" * MIB)
        proxy.drop()
        store.put("b", b"y" * MIB)
        with store.open("a") as reader:
            reader.read(10)
            proxy.drop()
            assert reader.read() == b"x" * (MIB - 10)
    assert server.objects["b"].data == b"y" * MIB


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of Python 3.12, where threads run
def test_store_works_on_in_a_forked_child(server: Stub) -> None:
    """As in a data loader's workers: also where the parent has open connections, and a lock is held."""
    store = open_store("s3://bucket/", server.environ)
    store.put("a", b"x" * 1000)
    with s3_client_module._lock, hosts_module._lock:
        child = os.fork()
        if not child:
            signal.alarm(30)
            with store.open("a") as reader:
                os._exit(0 if reader.read() == b"x" * 1000 and store.put("b", b"") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with store.open("a") as reader:
        assert reader.read() == b"x" * 1000


def test_folder_that_is_removed_meanwhile(tmp_path: Path) -> None:
    store = open_store(tmp_path / "out")
    store.put("d/a", b"1")
    shutil.rmtree(tmp_path / "out")
    store.put("d/a", b"2")
    assert (tmp_path / "out" / "d" / "a").read_bytes() == b"2"


def test_secrets_are_in_no_representation(server: Stub) -> None:
    store = open_store("s3://bucket/", server.environ)
    shown = repr(store) + str(vars(store)) + repr(find_endpoint("s3", server.environ))
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in shown
