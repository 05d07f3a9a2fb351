"""Leases in a store, and turns on a directory, with real processes that are killed."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ma_training.storage import open_store
from ma_training.storage.sync import LEASE, Claim, Held, Holder, Lease, Lost, Turn, TurnLost
from ma_training.storage.sync.lease import TTL
from tests.support import wait_until

WORKER = """
import sys, time
from pathlib import Path
from ma_training.storage.sync import Turn
turn = Turn(Path(sys.argv[1]), print, stale=float(sys.argv[2]), settle=0.1)
assert turn.wait()
turn.tell("3 of 7 files")
print("mine", flush=True)
sys.stdin.readline()
turn.release()
print("over", flush=True)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def owner(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the turn."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory), "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_waits_and_does_not_do_it_again(directory: Path, owner: "subprocess.Popen[str]") -> None:
    said: list[str] = []
    turn, outcome = Turn(directory, said.append), []
    assert not turn.take()
    path = turn.folder / "turn.json"
    wait_until(lambda: json.loads(path.read_text())["progress"], "the progress to be told")
    waiting = threading.Thread(target=lambda: outcome.append(turn.wait()))
    waiting.start()
    wait_until(lambda: said, "a word about whom it waits for")
    assert owner.stdin is not None
    owner.stdin.write("\n")
    owner.stdin.flush()
    waiting.join(30)
    assert outcome == [False], "the work was done by the other one"
    assert f"process {owner.pid}" in said[0] and "3 of 7 files" in said[0]
    assert not path.exists()


def test_a_killed_ones_turn_is_taken_over_at_once(directory: Path, owner: "subprocess.Popen[str]") -> None:
    turn = Turn(directory, lambda text: None, stale=3600, settle=0.05)
    assert not turn.take()
    owner.kill()
    owner.wait()
    assert turn.wait(), "nothing was completed, so it is to be done"
    turn.release()


def test_one_on_another_machine_is_given_up_when_it_shows_no_life(
    directory: Path, owner: "subprocess.Popen[str]"
) -> None:
    """Stopped, it is seen as one that is cut off; when it goes on, it notices."""
    path = Turn(directory, print).folder / "turn.json"
    owner.send_signal(signal.SIGSTOP)
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"holder": record["holder"] | {"space": "elsewhere"}}))
    turn = Turn(directory, lambda text: None, stale=1.0, settle=0.05)
    assert turn.wait()
    owner.send_signal(signal.SIGCONT)
    assert owner.stdin is not None and owner.stdout is not None
    owner.stdin.write("\n")
    owner.stdin.flush()
    assert owner.stdout.readline() == "over\n"
    assert turn.take(), "the other one's end does not end ours"
    turn.release()


def test_one_who_is_thought_to_be_dead_is_told(directory: Path) -> None:
    first = Turn(directory, lambda text: None, stale=0.5)
    assert first.take()
    path = first.folder / "turn.json"
    path.write_text(json.dumps({"token": "another"}))
    wait_until(lambda: not first.is_ours, "the loss to be noticed")
    with pytest.raises(TurnLost, match="another process has taken over"):
        first.check()
    first.release()
    assert json.loads(path.read_text()) == {"token": "another"}


def test_of_many_who_take_over_one_has_it(directory: Path, owner: "subprocess.Popen[str]") -> None:
    owner.kill()
    owner.wait()
    turns = [Turn(directory, lambda text: None, settle=0.5) for _ in range(8)]
    threads = [threading.Thread(target=turn.take) for turn in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    wait_until(lambda: sum(turn.is_ours for turn in turns) == 1, "one to be left")
    for turn in turns:
        turn.release(done=False)


def test_a_damaged_turn_is_taken_over_when_it_stays_so(directory: Path) -> None:
    turn = Turn(directory, lambda text: None, stale=0.3, settle=0.05)
    turn.folder.mkdir(parents=True)
    (turn.folder / "turn.json").write_text('{"tok')
    assert turn.wait()
    turn.release()


# --- leases ---

ME = Holder.of(1)


def claim(job: str, name: str = "", unique: bool = False) -> Claim:
    return Claim(job, name or job, unique, ME)


def test_a_second_job_is_refused_by_name(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    first = Lease(store, claim("first"))
    first.take()
    text = r"(?s)in use by job first of \S+ \(process 1 on .*expires in .*hint: "
    for refused in (Lease(store, claim("second")).check, Lease(store, claim("second")).take):
        with pytest.raises(Held, match=text):
            refused()
    first.renew()
    first.release()
    Lease(store, claim("second")).take()
    assert [entry.key for entry in store.list()] == [LEASE], "no probe is left"


def test_all_nodes_of_a_job_have_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    nodes = [Lease(store, claim("job")) for _ in range(3)]
    for lease in nodes:
        lease.take()
        lease.renew()
    nodes[0].release()
    nodes[1].renew()
    with pytest.raises(Held):
        Lease(store, claim("other")).take()


def test_one_that_is_not_renewed_expires_by_the_stores_clock(tmp_path: Path) -> None:
    import os

    store, path = open_store(tmp_path), tmp_path / LEASE
    first = Lease(store, claim("first"))
    first.take()
    written = path.stat().st_mtime
    os.utime(path, (written - TTL - 1, written - TTL - 1))
    second = Lease(store, claim("second"), settle=0.01)
    second.take()
    with pytest.raises(Lost, match=r"job second of .* has taken over"):
        first.renew()
    first.release()
    second.renew()


def test_the_same_job_takes_over_its_own_when_it_was_killed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        held = replace(claim("train-1", "train"), holder=Holder.of(process.pid))
        Lease(store, held).take()
        with pytest.raises(Held):
            Lease(store, claim("train-2", "train"), settle=0.01).take()
        process.kill()
    Lease(store, claim("train-2", "train"), settle=0.01).take()


def test_of_many_who_take_an_expired_one_one_has_it(tmp_path: Path) -> None:
    import os

    store, path = open_store(tmp_path), tmp_path / LEASE
    Lease(store, claim("first")).take()
    os.utime(path, (0, 0))
    taken: list[int] = []

    def take(number: int) -> None:
        try:
            Lease(store, claim(f"job-{number}"), settle=0.5).take()
            taken.append(number)
        except Held:
            pass

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == 1


def test_a_damaged_lease_holds_until_it_is_old(tmp_path: Path) -> None:
    import os

    store = open_store(tmp_path)
    (tmp_path / LEASE).write_text("{")
    with pytest.raises(Held, match="job \\? of \\? \\(unknown\\)"):
        Lease(store, claim("a")).take()
    os.utime(tmp_path / LEASE, (0, 0))
    Lease(store, claim("a"), settle=0.01).take()


def test_what_a_killed_process_has_left_is_swept(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(f"{LEASE}.0123456789abcdef", b"")
    Lease(store, claim("a")).take()
    assert [entry.key for entry in store.list()] == [LEASE]
