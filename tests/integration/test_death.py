"""A worker with much memory is seen dying before the kernel has freed it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.agent.handover import may_begin_beside
from ma_training.agent.process_status import catches_signal, is_exiting
from tests.support import Launcher, wait_until

# Not huge pages: 400 MB of them are freed in a moment.
FILL = """
import mmap
memory = mmap.mmap(-1, 400 << 20)
memory.madvise(mmap.MADV_NOHUGEPAGE)
memory.write(bytes(400 << 20))
"""


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_seen_dying_before_it_is_gone(launcher: Launcher, threads: int) -> None:
    script = launcher.script(
        FILL
        + f"""
import os, threading, time
for _ in range({threads} - 1):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("READY", flush=True)
if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    time.sleep(1000)
"""
    )
    job = launcher.start("--nproc-per-node", 1, script)
    job.wait_log("READY")
    # Watched from its next survey on; until then it is small in the agent's eyes.
    pid = job.worker_pid(0)
    wait_until(lambda: _is_watched(job.pid, pid, threads), "the agent to watch the worker")
    os.kill(pid, signal.SIGKILL)
    assert job.wait() == 0
    dying, exited = job.events("worker.dying", attempt=0), job.events("worker.exited", attempt=0)
    assert dying
    assert dying[0].data["status"] == -9
    assert not exited or dying[0].t_mono < exited[0].t_mono


def _is_watched(agent: int, worker: int, threads: int) -> bool:
    """Two of three threads by pidfds, else the flag: that is polled 200 times a second."""
    if threads == 3:
        tasks = {f"Pid:\t{path.name}\n" for path in Path(f"/proc/{worker}/task").iterdir()}
        entries = "".join(path.read_text() for path in Path(f"/proc/{agent}/fdinfo").iterdir())
        return sum(task in entries for task in tasks) == 2
    switches = Path(f"/proc/{agent}/status").read_text().partition("voluntary_ctxt_switches:")[2].split()[0]
    return int(switches) > 100


def test_an_ordinary_thread_that_ends_is_no_death(launcher: Launcher) -> None:
    script = launcher.script(
        FILL
        + """
import os, threading, time
def brief():
    while not os.path.exists("end"):
        time.sleep(0.01)
for _ in range(3):
    threading.Thread(target=brief).start()
print("READY", flush=True)
"""
    )
    job = launcher.start(script)
    job.wait_log("READY")
    pid = job.worker_pid(0)
    wait_until(lambda: _is_watched(job.pid, pid, 3), "the agent to watch the worker")
    (launcher.directory / "end").touch()
    assert job.wait() == 0
    assert job.result["restarts"] == 0


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_living_process_is_not_exiting(sleeper: "subprocess.Popen[bytes]") -> None:
    assert not is_exiting(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert is_exiting(sleeper.pid)


def test_catches_signal(sleeper: "subprocess.Popen[bytes]") -> None:
    wait_until(lambda: catches_signal(sleeper.pid, signal.SIGINT), "Python's own handler")
    assert not catches_signal(sleeper.pid, signal.SIGUSR1)
    assert not catches_signal(2**22 - 1, signal.SIGINT)


# What a dead worker holds is asked of a living one here: this process. It has no shim, and no children.
NO_SHIM = 2**22 - 1


def test_handover_where_nothing_is_held() -> None:
    assert may_begin_beside(NO_SHIM, os.getpid(), 0, 0)


def test_no_handover_beside_a_living_process(sleeper: "subprocess.Popen[bytes]") -> None:
    assert not may_begin_beside(os.getpid(), os.getpid(), 0, 0)


def test_no_handover_without_memory_for_both() -> None:
    assert not may_begin_beside(NO_SHIM, os.getpid(), 1 << 60, 0)


def test_no_handover_of_a_chosen_port() -> None:
    with socket.socket() as server:
        port = _bind_below_the_ephemeral(server)
        server.listen()
        assert not may_begin_beside(NO_SHIM, os.getpid(), 0, 0)
        assert may_begin_beside(NO_SHIM, os.getpid(), 0, port)  # the attempt's own rendezvous


def _bind_below_the_ephemeral(server: socket.socket) -> int:
    for port in range(20000, 21000):
        try:
            server.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue
    raise AssertionError("no free port")


def test_no_handover_of_a_lock(tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert not may_begin_beside(NO_SHIM, os.getpid(), 0, 0)
        fcntl.lockf(file, fcntl.LOCK_UN)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not may_begin_beside(NO_SHIM, os.getpid(), 0, 0)
