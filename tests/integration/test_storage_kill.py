"""Copies that are killed, or given up: what they leave is whole, and the next run completes it."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.storage import Leftovers, open_store
from ma_training.storage import hosts as hosts_module
from ma_training.storage.transfer import SMALL

from ..s3_stub import Stub, stub
from ..storage_trees import content_of, copy, make_tree

SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "pause", lambda attempt, chance: 0.0)


COPIER = """
import pathlib, sys
from ma_training.storage import *
source, target = open_store(sys.argv[1]), open_store(sys.argv[2])
with Leftovers(target) as leftovers:
    leftovers.abort()
    print("begun", flush=True)
    look = sys.argv[4] == "look"
    with Journal(pathlib.Path(sys.argv[3])) as journal:
        report = copy_tree(Task(source, target, journal=journal, look=look, leftovers=leftovers))
print("over", report.complete, report.failed, flush=True)
"""


def run_copier(words: list[str], environ: dict[str, str], kill_after: float | None) -> str:
    command = [sys.executable, "-c", COPIER, *words]
    with subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "begun\n"
            if kill_after is not None:
                try:
                    process.wait(kill_after)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
            # Not communicate(): it would miss what came along with the first line.
            return process.stdout.read()
        finally:
            process.kill()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("look", ["look", "journal"])
@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_killed_anywhere(down: bool, look: str, server: Stub, tmp_path: Path) -> None:
    """Each target is whole or not there; the next run completes it, and nothing else is left anywhere."""
    content = make_tree(tmp_path / "in", files=30)
    bucket = open_store("s3://bucket/", server.environ)
    environ = server.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    if down:
        assert copy(open_store(tmp_path / "in"), bucket).complete
    chance = random.Random(5)
    started = time.monotonic()
    places = ["s3://bucket/", str(tmp_path / "out")] if down else [str(tmp_path / "in"), "s3://bucket/"]
    words = [*places, str(tmp_path / "journal"), look]
    assert "over True" in run_copier(words, environ, None)
    longest = time.monotonic() - started
    target = open_store(tmp_path / "out") if down else bucket
    for _ in range(50 if SOAK else 5):
        for entry in list(target.list()):
            target.delete(entry.key)
        (tmp_path / "journal").unlink()
        run_copier(words, environ, chance.uniform(0, longest))
        there = content_of(target)
        assert all(content[key] == data for key, data in there.items())
        assert "over True" in run_copier(words, environ, None)
        assert content_of(target) == content
        assert server.uploads == {}
    for part in tmp_path.rglob(".*.part"):
        os.utime(part, (1, 1))
    copy(bucket, open_store(tmp_path / "out"), everything=True)
    assert not list(tmp_path.rglob(".*.part*"))


def test_leftovers_of_others_stay(server: Stub, tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/d/", server.environ)
    environ = server.environ | {"XDG_STATE_HOME": str(tmp_path)}
    others, ours = bucket.upload("x", SMALL), bucket.upload("y", SMALL)
    with Leftovers(bucket, environ) as running:
        running.add("y", ours.id)
        with Leftovers(bucket, environ) as second:
            assert second.abort() == 0
        running.done(ours.id)
    note = tmp_path / "ma-training" / "sync"
    (folder,) = note.iterdir()
    (folder / "killed.uploads").write_text(f'["d/y", "{ours.id}", 0]\n["d/z", "gone", 0]\n["cut')
    assert Leftovers(bucket, environ).abort() == 2
    assert list(server.uploads) == [others.id] and list(folder.iterdir()) == []


def test_gives_up_where_all_would_fail(server: Stub, tmp_path: Path) -> None:
    make_tree(tmp_path / "in", files=50)
    server.forbid = (403, "AccessDenied")
    report = copy(open_store(tmp_path / "in"), open_store("s3://bucket/", server.environ), look=False)
    assert report.stopped and not report.complete and report.failures < 45
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("storage-")]
