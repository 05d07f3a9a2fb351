"""Transfers over HTTP: the stub has OBS's rules, and fails on command."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ma_training.storage import open_store
from ma_training.storage.sync import Claim, Held, Lease, Lost
from tests.s3_stub import Stub, stub
from tests.support import Launcher, wait_until
from tests.transfer_contract import CONTRACT, ELSEWHERE

from .test_transfers import IDLE


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(check: Callable[..., None], server: Stub, tmp_path: Path) -> None:
    environ = server.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    check("obs://bucket/in/here", environ, tmp_path)


@pytest.mark.parametrize("check", CONTRACT[1:3] + CONTRACT[-1:], ids=lambda check: check.__name__)
def test_contract_of_a_bad_line(check: Callable[..., None], server: Stub, tmp_path: Path) -> None:
    server.unavailable = server.cut = 0.1
    environ = server.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    check("obs://bucket/in/here", environ, tmp_path)


class WithoutConditions:
    """A store that does not know If-None-Match, and lets ``between`` happen before each write."""

    def __init__(self, store: Any, between: Callable[[], None]) -> None:
        self._store, self._between = store, between
        self.url = store.url

    def put(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None, **_: object) -> object:
        self._between()
        return self._store.put(key, data, metadata)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_store_that_writes_over_all_the_same(server: Stub) -> None:
    """The second has seen no lease, and writes over the first one's: the last one has it."""
    store = open_store("obs://bucket/x", server.environ)
    other = Lease(WithoutConditions(store, lambda: None), Claim("b", "b", False, ELSEWHERE), settle=0.2)  # type: ignore[arg-type]
    taken: list[str] = []
    times = iter(range(100))

    def between() -> None:
        if next(times) == 1:  # the first has written, and now tries whether conditions are known
            store.delete(".ma-training-lease.json")
            other.take()
            taken.append("b")

    first = Lease(WithoutConditions(store, between), Claim("a", "a", False, ELSEWHERE), settle=0.2)  # type: ignore[arg-type]
    try:
        first.take()
        taken.append("a")
    except Held:
        pass
    assert taken == ["b"] or taken == ["b", "a"]
    other.renew() if taken[-1] == "b" else first.renew()
    with pytest.raises(Lost, match="has taken over"):
        first.renew() if taken[-1] == "b" else other.renew()


def state_of(launcher: Launcher, server: Stub) -> dict[str, str]:
    return server.environ | {"XDG_STATE_HOME": str(launcher.directory / "state")}


def test_a_job_on_a_bad_line(launcher: Launcher, server: Stub) -> None:
    open_store("obs://bucket/data", server.environ).put("x", b"x" * 1000)
    server.unavailable = server.cut = 0.1
    launcher.script(
        """
        import pathlib
        assert pathlib.Path("data/x").read_bytes() == b"x" * 1000
        for number in range(30):
            pathlib.Path(f"out/{number}").write_bytes(b"y" * 100_000)
        pathlib.Path("out/big").write_bytes(b"z" * (20 << 20))
        """
    )
    job = launcher.run(
        *("--input", "obs://bucket/data=data", "--output", "out=obs://bucket/results"),
        *("--log-url", "obs://bucket/logs", "train.py"),
        env=state_of(launcher, server),
    )
    assert job.process.returncode == 0, job.stderr
    found = {
        key.removeprefix("results/"): blob.data for key, blob in server.objects.items() if "results/" in key
    }
    assert found == {str(number): b"y" * 100_000 for number in range(30)} | {"big": b"z" * (20 << 20)}
    assert not server.uploads, "uploads that are never completed"
    assert "stub-canary-secret" not in job.stderr + job.stdout
    assert all(
        "stub-canary-secret" not in path.read_text() for path in job.run.rglob("*.*") if path.is_file()
    )


def test_storage_that_is_gone_at_the_end_keeps_nobody(launcher: Launcher, server: Stub) -> None:
    launcher.script(IDLE)
    job = launcher.start(
        *("--shutdown-timeout", "2s", "--output", "out=obs://bucket/results", "train.py"),
        env=state_of(launcher, server),
    )
    job.wait_log("ready")
    server.unavailable = 1.0
    (launcher.directory / "out" / "a").write_text("1")
    job.signal(signal.SIGTERM)
    assert job.wait() == 143
    assert f"NOT uploaded from {launcher.directory}/out to obs://bucket/results:" in job.stderr
    assert f"by hand: launcher sync {launcher.directory}/out obs://bucket/results" in job.stderr
    server.unavailable = 0.0


def test_the_last_uploads_may_be_cut_short(launcher: Launcher, server: Stub) -> None:
    """A job that has ended well waits for storage, until someone has enough of it."""
    launcher.script(
        """
        import pathlib, time
        while not pathlib.Path("gone").exists():
            time.sleep(0.01)
        pathlib.Path("out/a").write_text("1")
        """
    )
    job = launcher.start(
        *("--shutdown-timeout", "2s", "--output", "out=obs://bucket/results", "train.py"),
        env=state_of(launcher, server),
    )
    job.worker_pid(0)
    server.unavailable = 1.0
    (launcher.directory / "gone").touch()
    wait_until(lambda: job.events("job.ended"), "the end of training")
    job.signal(signal.SIGTERM)
    assert job.wait() == 74
    assert f"NOT uploaded from {launcher.directory}/out" in job.stderr
    server.unavailable = 0.0


def test_an_interrupt_while_inputs_are_brought(launcher: Launcher, server: Stub) -> None:
    open_store("obs://bucket/data", server.environ).put("x", b"x")
    server.unavailable = 1.0
    launcher.script("open('ran', 'w')")
    job = launcher.start("--input", "obs://bucket/data=data", "train.py", env=state_of(launcher, server))
    before = len(server.requests)
    wait_until(lambda: len(server.requests) > before, "a request")
    job.signal(signal.SIGINT)
    assert job.wait() == 130
    assert "interrupted before the workers were started" in job.stderr and "Traceback" not in job.stderr
    assert not (launcher.directory / "ran").exists()


def test_storage_that_refuses_before_the_start(launcher: Launcher, server: Stub) -> None:
    server.forbid = (403, "SignatureDoesNotMatch")
    launcher.script("open('ran', 'w')")
    job = launcher.run(*("--checkpoint-url", "obs://bucket/ck", "train.py"), env=state_of(launcher, server))
    assert job.process.returncode == 69, job.stderr
    assert "not started: " in job.stderr and "stub-canary-secret" not in job.stderr
    assert not (launcher.directory / "ran").exists()


def test_uploads_of_a_killed_copier_are_aborted(launcher: Launcher, server: Stub) -> None:
    """A server keeps their parts for ever, where nobody sees them."""
    from .test_transfers import copier

    launcher.script(IDLE)
    job = launcher.start("--output", "out=obs://bucket/results", "train.py", env=state_of(launcher, server))
    job.wait_log("ready")
    (launcher.directory / "out" / "big").write_bytes(b"z" * (100 << 20))
    wait_until(lambda: any(parts for *_, parts in list(server.uploads.values())), "a part")
    os.kill(copier(job), signal.SIGKILL)
    wait_until(lambda: "results/big" in server.objects, "the next one's upload")
    job.signal(signal.SIGTERM)
    job.wait()
    assert not server.uploads
