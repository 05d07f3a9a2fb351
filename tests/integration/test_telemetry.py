"""What a worker says of itself besides its steps: when, and what TrainingState is at."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ma_training.agent.bootstrap import SECTION_SIZE
from ma_training.watchdog.asking import ask_all
from ma_training.watchdog.flight_recorder import gather
from tests.hung import Worker, Workers
from tests.support import wait_until

OPTIMIZER = """
_hooks = []
def register_optimizer_step_post_hook(hook):
    _hooks.append(hook)
class Optimizer:
    def step(self):
        for hook in _hooks:
            hook(self, (), {})
"""
Start = Callable[..., list[Worker]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts train.py, for which there is a torch of four lines."""
    workers = Workers(tmp_path)
    package = tmp_path / "torch/optim"
    package.mkdir(parents=True)
    (tmp_path / "torch/__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "optimizer.py").write_text(OPTIMIZER)

    def begin(script: str, count: int = 1) -> list[Worker]:
        (tmp_path / "train.py").write_text(textwrap.dedent(script))
        return workers.start(count)

    yield begin
    workers.end()


def test_when_the_last_step_was(start: Start) -> None:
    began = time.monotonic()
    (worker,) = start(
        """
        import os, time
        from torch.optim.optimizer import Optimizer
        for _ in range(3):
            Optimizer().step()
        if os.fork() == 0:  # it shares the page, and is not the worker
            Optimizer().step()
            os._exit(0)
        os.wait()
        print("up")
        time.sleep(1000)
        """
    )
    says = worker.page.read()
    assert says.steps == 3
    assert says.step_at is not None
    assert began < says.step_at < time.monotonic()


def test_no_thread_before_the_first_step(start: Start) -> None:
    """Python warns of a fork from a process with more than one; alone it never has one."""
    script = """
        import os, time
        from torch.optim.optimizer import Optimizer
        count = lambda: len(os.listdir("/proc/self/task"))
        before = count()
        Optimizer().step()
        Optimizer().step()
        print(before, count(), "up")
        time.sleep(1000)
        """
    assert [worker.text for worker in start(script, 2)] == 2 * ["1 2 up\n"]
    assert start(script)[0].text == "1 1 up\n"


STATE = """
import os, sys, time
from ma_training.state import TrainingState

def pause(name):
    print(name)
    while not os.path.exists(name):
        time.sleep(0.01)

state = TrainingState(counts={})
print("up")
pause("training")
state.commit()
try:
    with state.section("eval"):
        with state.section("é" * 100):
            pause("inner")
        if os.fork() == 0:  # what it says does not count
            state.section("child").__enter__()
            sys.modules["_launcher_worker"].beat()
            os._exit(0)
        os.wait()
        pause("outer")
        raise KeyError
except KeyError:
    pause("after")
"""


def test_what_training_state_is_at(start: Start, tmp_path: Path) -> None:
    (worker,) = start(STATE)
    began = time.monotonic()

    def at(name: str) -> tuple[str, int]:
        wait_until(lambda: name in worker.text.split(), f"{name} in its log")
        says = worker.page.read()
        assert (says.section_at is not None) == bool(says.section)
        assert says.section_at is None or began < says.section_at < time.monotonic()
        assert (says.beat_at is not None) == bool(says.beats)
        (tmp_path / name).touch()
        return says.section, says.beats

    assert at("training") == ("", 0)
    assert at("inner") == ("é" * (SECTION_SIZE // 2), 1)
    assert at("outer") == ("eval", 1)
    assert at("after") == ("", 1)


def test_training_state_without_a_launcher(tmp_path: Path) -> None:
    script = """
        import sys
        from ma_training.state import TrainingState
        state = TrainingState(counts={}, directory="states")
        with state.section("eval"):
            state.commit()
        assert "_launcher_worker" not in sys.modules
        """
    path = tmp_path / "train.py"
    path.write_text(textwrap.dedent(script))
    subprocess.run([sys.executable, path], cwd=tmp_path, check=True, timeout=60)


def test_a_flight_recorder_that_is_not_there(start: Start) -> None:
    """No torch that has one; the answer is there all the same, and is none."""
    workers = start(
        """
        import time
        from torch.optim.optimizer import Optimizer
        Optimizer().step()
        print("up")
        time.sleep(1000)
        """,
        2,
    )
    deadline = time.monotonic() + 60
    assert ask_all({one.pid: one.record for one in workers}, deadline) == {one.pid: "" for one in workers}
    assert gather({one.rank: (one.pid, one.record) for one in workers}, 60) is None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("", "it has done no step yet"),
        ("Optimizer().step(); os.closerange(3, 1000)", "the script has closed its descriptor"),
        (
            # The same number, another pipe: nothing of ours is written into it.
            "Optimizer().step(); os.closerange(3, 1000); [os.pipe() for _ in range(9)]",
            "the script has closed its descriptor",
        ),
    ],
)
def test_a_flight_recorder_that_cannot_be_asked(start: Start, script: str, why: str) -> None:
    head = "import os, time\nfrom torch.optim.optimizer import Optimizer\n"
    worker, _ = start(f"{head}{script}\nprint('up')\ntime.sleep(1000)\n", 2)
    assert why in worker.record.ask(worker.pid)
