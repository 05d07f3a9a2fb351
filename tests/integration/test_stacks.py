"""Stacks of workers that really hang: from outside, from inside, and where neither will do."""

import os
import shutil
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ma_training.agent.asked import StacksAsked
from ma_training.agent.telemetry import TelemetryPage
from ma_training.watchdog import pyspy
from ma_training.watchdog.culprit import Explanation, explain
from ma_training.watchdog.flight_recorder import gather
from ma_training.watchdog.kernel_state import main_state
from ma_training.watchdog.samples import FAULTHANDLER, PY_SPY, Sample
from ma_training.watchdog.stacks import AT_ONCE, Subject, take
from tests.hung import Worker, Workers

NONE = ""  # as if py-spy were not installed
PATIENCE = 60.0  # seconds: liveness, not speed

Start = Callable[..., list[Worker]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts train.py as so many ranks; they are gone afterwards."""
    workers = Workers(tmp_path)

    def begin(script: str, count: int = 1, says: str = "up", **variables: str) -> list[Worker]:
        (tmp_path / "train.py").write_text(textwrap.dedent(script))
        return workers.start(count, says, **variables)

    yield begin
    workers.end()


def sample(worker: Worker, spy: str | None = None, timeout: float = PATIENCE) -> Sample:
    return take([worker.subject()], timeout, spy=spy)[0]


def fake_spy(tmp_path: Path, text: str) -> str:
    path = tmp_path / "py-spy"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def functions(found: Sample) -> list[str]:
    return [frame.function for frame in found.main.frames]


def until_state(worker: Worker, state: str) -> None:
    from tests.support import wait_until

    wait_until(lambda: main_state(worker.pid) == state, f"state {state} of pid {worker.pid}")


SLEEP = """
import time
def inner():
    print("up")
    time.sleep(1000)
inner()
"""


@pytest.mark.parametrize(("spy", "method"), [(None, PY_SPY), (NONE, FAULTHANDLER)])
def test_one_that_sleeps(start: Start, spy: str | None, method: str) -> None:
    (worker,) = start(SLEEP)
    until_state(worker, "S")
    found = sample(worker, spy)
    assert (found.method, found.problem, functions(found)) == (method, "", ["inner", "<module>"])
    assert found.main.frames[0].line == 5
    assert found.waits_for in ("sleep", "hrtimer_nanosleep")
    assert worker.text == "up\n"  # nothing of it in the user's log


def test_it_can_be_asked_again_and_by_two(start: Start) -> None:
    """`launcher dump` while the watchdog looks: each sees what it has asked for."""
    (worker,) = start(SLEEP)
    page = TelemetryPage.of(worker.pid)
    assert page is not None
    other = StacksAsked(page)
    try:
        for asked in (worker.stacks, other, worker.stacks, other):
            (found,) = take([Subject(0, worker.pid, asked)], PATIENCE, spy=NONE)
            assert functions(found) == ["inner", "<module>"]
            assert len(found.threads) == 1
    finally:
        page.close()


def test_the_step_count_survives_a_dump(start: Start) -> None:
    """It is written into the same memory."""
    script = "import sys, time\nsys.modules['_launcher_worker'].beat()\nprint('up')\ntime.sleep(1000)\n"
    (worker,) = start(script)
    before = worker.page.read()
    assert sample(worker, NONE).method == FAULTHANDLER
    assert worker.page.read() == before
    assert before.beats == 1


@pytest.mark.parametrize("spy", [None, NONE])
def test_two_threads_that_wait_for_each_other(start: Start, spy: str | None) -> None:
    (worker,) = start(
        """
        import threading
        one, other, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
        def hold(mine, yours):
            with mine:
                both.wait()
                print("up")
                with yours:
                    pass
        threading.Thread(target=hold, args=(other, one), name="second").start()
        hold(one, other)
        """
    )
    until_state(worker, "S")
    found = sample(worker, spy)
    assert functions(found)[0] == "hold"
    assert found.waits_for == "a lock"
    assert sum(frame.function == "hold" for thread in found.threads for frame in thread.frames) == 2
    assert explain([found]).kind == "lock"


GIL = """
import ctypes
libc = ctypes.PyDLL(None)  # does not give the GIL up
mutex = ctypes.create_string_buffer(64)
def stuck():
    libc.pthread_mutex_lock(mutex)
    print("up")
    libc.pthread_mutex_lock(mutex)
stuck()
"""


@pytest.mark.parametrize("spy", [None, NONE])
def test_the_gil_held_in_c(start: Start, spy: str | None) -> None:
    (worker,) = start(GIL)
    until_state(worker, "S")
    found = sample(worker, spy)
    assert functions(found) == ["stuck", "<module>"]
    if spy is None:  # faulthandler does not say who has it
        assert explain([found]).kind == "gil"


ALONE = {
    "exit": "import atexit, time\n@atexit.register\ndef last():\n    print('up')\n    time.sleep(1000)\n",
    "log writer": (
        "import logging, os\n"
        "log = logging.StreamHandler(os.fdopen(os.pipe()[1], 'w'))\n"
        "print('up')\n"
        "while True: log.handle(logging.makeLogRecord({'msg': 'x' * 9999}))\n"
    ),
    "read": "import os\nends = os.pipe()\nprint('up')\nos.read(ends[0], 1)\n",
    "busy": "print('up')\nwhile True: pass\n",
    "own": "import select\nprint('up')\nselect.select([], [], [])\n",
}


@pytest.mark.parametrize("kind", ALONE)
@pytest.mark.parametrize("spy", [None, NONE])
def test_what_one_alone_is_in(start: Start, kind: str, spy: str | None) -> None:
    workers = start(ALONE[kind])
    found = settled(workers, lambda found: found.kind == kind, spy)
    assert (found.kind, found.culprits) == (kind, (0,)), found
    assert " at train.py:" in found.sentence


def test_a_stopped_one(start: Start) -> None:
    (worker,) = start(SLEEP)
    os.kill(worker.pid, signal.SIGSTOP)
    until_state(worker, "T")
    read = sample(worker)
    assert (functions(read), read.stopped, explain([read]).kind) == (["inner", "<module>"], True, "stopped")

    mute = sample(worker, NONE)
    assert (mute.method, mute.problem) == ("", "is stopped (SIGSTOP, or SIGTTIN of a terminal)")
    assert explain([mute]).culprits == (0,)
    os.kill(worker.pid, signal.SIGCONT)
    until_state(worker, "S")
    assert functions(sample(worker, NONE)) == ["inner", "<module>"]  # its late answer is not in the way


def test_one_in_the_kernel(start: Start) -> None:
    """A process that has called vfork sleeps uninterruptibly, as one on a dead NFS does."""
    (worker,) = start(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        print("up")
        if not libc.vfork():
            while libc.pause():  # until it is killed: it has its parent's memory
                pass
        """
    )
    until_state(worker, "D")
    mute = sample(worker, NONE, timeout=1.0)
    assert mute.problem.startswith("sits in the kernel")
    assert explain([mute]).kind == "kernel"
    assert functions(sample(worker)) == ["<module>"]


def test_one_that_has_blocked_all_signals(start: Start) -> None:
    (worker,) = start(
        """
        import signal, time
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        print("up")
        time.sleep(1000)
        """
    )
    mute = sample(worker, NONE, timeout=0.5)
    assert "it did not answer in time" in mute.problem


def test_one_that_the_signal_wakes(start: Start) -> None:
    """Its answer is there, though the call in which it hung was cut short, and it has ended."""
    (worker,) = start("import ctypes\nprint('up')\nctypes.CDLL(None).pause()\n")
    until_state(worker, "S")
    assert functions(sample(worker, NONE)) == ["<module>"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import os; os.closerange(3, 1000)", "the script has closed its descriptor"),
        (
            "import os; os.closerange(3, 999); os.dup2(os.open('mine', os.O_RDWR | os.O_CREAT), 200)",
            "the script has closed its descriptor",
        ),
        (
            "import signal; signal.signal(signal.SIGRTMAX - 5, signal.SIG_IGN)",
            "it has no handler for the signal",
        ),
    ],
)
def test_a_script_that_takes_what_is_ours(start: Start, tmp_path: Path, script: str, why: str) -> None:
    """Nothing is written into its files, and no signal kills it."""
    (worker,) = start(f"{script}\nimport time\nprint('up')\ntime.sleep(1000)\n")
    mute = sample(worker, NONE)
    assert why in mute.problem
    assert worker.process.poll() is None
    assert not (tmp_path / "mine").exists() or (tmp_path / "mine").read_bytes() == b""
    assert functions(sample(worker)) == ["<module>"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sleep 1000", "it did not answer in time"),
        ("echo not JSON", "its output cannot be read"),
        ("echo 'Error: Permission denied (os error 13)' >&2; exit 1", "ptrace is not permitted"),
    ],
)
def test_a_py_spy_that_fails(start: Start, tmp_path: Path, text: str, why: str) -> None:
    """It falls back; where that fails too, both are named."""
    (worker,) = start(SLEEP)
    spy = fake_spy(tmp_path, text)
    found = sample(worker, spy, timeout=3.0)
    assert (found.method, functions(found)) == (FAULTHANDLER, ["inner", "<module>"])
    (mute,) = take([Subject(0, worker.pid)], 1.0, spy=spy)
    assert why in mute.problem
    assert "it cannot be asked" in mute.problem


def test_one_that_has_ended(start: Start) -> None:
    (worker,) = start("print('up')")
    worker.process.wait()
    for spy in (None, NONE):
        assert sample(worker, spy).problem == "has ended"


def test_all_are_looked_at_at_once(start: Start, tmp_path: Path) -> None:
    """Within one deadline: eight that do not answer are not waited for one after another."""
    (worker,) = start(SLEEP)
    spy = fake_spy(tmp_path, f"echo >> {tmp_path}/begun; exec sleep 1000")
    found = take([worker.subject()] * 8, 10.0, spy=spy)
    assert (tmp_path / "begun").read_text() == min(8, AT_ONCE) * "\n"
    assert {functions(one)[0] for one in found} == {"inner"}


def test_py_spy_is_found_beside_python_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pyspy.find()
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pyspy.find() is None
    assert fake_spy(tmp_path, "") == pyspy.find() == shutil.which("py-spy")


# --- several ranks ---


def explained(workers: list[Worker], spy: str | None = None) -> Explanation:
    samples = take([worker.subject() for worker in workers], PATIENCE, spy=spy)
    recorder = gather({worker.rank: (worker.pid, worker.record) for worker in workers}, PATIENCE)
    return explain(samples, recorder)


TORCH = """
import os, time, torch, torch.distributed as dist
dist.init_process_group("gloo")
rank = int(os.environ["RANK"])
model = torch.nn.Linear(4, 1)
model(torch.ones(4)).sum().backward()
torch.optim.SGD(model.parameters(), lr=0.1).step()
dist.all_reduce(torch.ones(8))
"""
HANGS = {
    "sleep": (
        "if rank == 2: time.sleep(1000)\ndist.all_reduce(torch.ones(8))",
        "sleep",
        "asleep at train.py:10; rank 2 has not entered all_reduce #2 (float32 [8]); ranks 0, 1 have",
    ),
    "skipped": (
        "if rank != 2: dist.all_reduce(torch.ones(8))\ndist.barrier()",
        "skipped",
        "barrier at train.py:11; ranks 0, 1 called all_reduce of float32 [8], rank 2 called barrier (#2)",
    ),
    "a handle": (
        "if rank == 2:\n  while True: pass\ndist.all_reduce(torch.ones(8), async_op=True).wait()",
        "busy",
        "ranks 0, 1 wait in all_reduce at train.py:12; rank 2 is busy at train.py:11; rank 2 has not entered",
    ),
    "mismatch": (
        "dist.all_reduce(torch.ones(10 if rank == 2 else 12))\ntime.sleep(1000)",
        "mismatch",
        "ranks 0, 1 called all_reduce of float32 [12], rank 2 called all_reduce of float32 [10] (#2)",
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize("kind", HANGS)
def test_real_collectives(start: Start, kind: str) -> None:
    script, known, said = HANGS[kind]
    workers = start(TORCH + f"print('up')\n{script}\n", 3, TORCH_FR_BUFFER_SIZE="2000", OMP_NUM_THREADS="1")
    found = settled(workers, lambda found: said in found.sentence)
    assert (found.kind, found.culprits) == (known, (2,))
    assert said in found.sentence
    assert explained(workers, NONE).culprits == (2,)


def settled(
    workers: list[Worker], done: Callable[[Explanation], bool], spy: str | None = None
) -> Explanation:
    """The explanation when all have come to where they hang; the last one where they do not."""
    until = time.monotonic() + PATIENCE
    while not done(found := explained(workers, spy)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.mark.torch
def test_one_that_does_not_come_to_the_meeting(start: Start) -> None:
    workers = start(
        """
        import os, time, torch.distributed as dist
        print("up")
        if os.environ["RANK"] == "2":
            time.sleep(1000)
        dist.init_process_group("gloo")
        """,
        3,
    )
    found = settled(workers, lambda found: found.waiting == (0, 1))
    assert (found.culprits, found.kind) == ((2,), "sleep")
    assert found.sentence.startswith("ranks 0, 1 wait in init_process_group at train.py:6; rank 2 is asleep")


@pytest.mark.torch
@pytest.mark.parametrize("processes", [0, 1, 3])
@pytest.mark.parametrize("spy", [None, NONE])
def test_a_data_loader_that_gives_nothing(start: Start, processes: int, spy: str | None) -> None:
    (worker,) = start(
        f"""
        import time, torch
        from torch.utils.data import DataLoader, Dataset

        class Data(Dataset):
            def __len__(self):
                return 9
            def __getitem__(self, index):
                print("up")
                time.sleep(1000)

        for batch in DataLoader(Data(), num_workers={processes}):
            pass
        """
    )
    found = settled([worker], lambda found: "train.py:10" in found.sentence, spy)
    assert (found.kind, found.culprits) == ("loader", (0,))
    assert "rank 0 is in the data loader at train.py:10" in found.sentence
    children = found.groups[0].samples[0].children
    named = [child for child in children if f"(its worker process {child.pid}" in found.sentence]
    assert len(named) == min(processes, 1)
    assert all(child.main.frames[0].function.endswith("__getitem__") for child in named)
