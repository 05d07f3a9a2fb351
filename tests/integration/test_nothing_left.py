"""Whatever ends, and however: no process of the job is left."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support import Launcher, is_alive, wait_until

# Each worker has an ordinary child and a double-forked grandchild in a session of its own.
FAMILY = """
    import os, signal, subprocess, sys, time
    subprocess.Popen(["sleep", "1000"])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("GRANDCHILD", os.getpid(), flush=True)
            time.sleep(1000)
        os._exit(0)
    os.wait()
    print("READY", flush=True)
"""


def test_agent_killed(launcher: Launcher) -> None:
    job = launcher.start("--nproc-per-node", 2, launcher.script(FAMILY + "    time.sleep(1000)"))
    for rank in (0, 1):
        job.wait_log("READY", rank)
        job.wait_log("GRANDCHILD", rank)
    assert len(launcher.processes()) == 1 + 2 + 2 * 3  # agent, shims, workers with child and grandchild
    job.process.kill()
    job.wait()
    wait_until(lambda: not launcher.processes(), "the end of all processes", timeout=5)


def test_logs_are_whole_when_the_agent_was_killed(launcher: Launcher) -> None:
    job = launcher.start(
        launcher.script("import time; print('x' * 100_000, 'END', flush=True); time.sleep(1000)")
    )
    job.wait_log("END")
    job.process.kill()
    job.wait()
    assert len(job.log()) == 100_005


def test_shim_killed(launcher: Launcher) -> None:
    """Someone's `pkill -9 python`: the worker dies of it, the agent sweeps the rest and restarts."""
    script = launcher.script(
        FAMILY + "    if os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n        time.sleep(1000)"
    )
    job = launcher.start("--nproc-per-node", 2, "--shutdown-timeout", "300ms", script)
    job.wait_log("GRANDCHILD", 1)
    worker = job.worker_pid(1)
    with open(f"/proc/{worker}/stat") as stat:
        shim = int(stat.read().rpartition(") ")[2].split()[1])
    os.kill(shim, signal.SIGKILL)
    assert job.wait() == 0
    assert job.result["restarts"] == 1
    assert "launcher-shim" in job.result["attempts"][0]["failure"]["cause"]


def test_worker_that_ends_well_leaves_its_family(launcher: Launcher) -> None:
    job = launcher.run("--shutdown-timeout", "300ms", launcher.script(FAMILY))
    assert job.process.returncode == 0


def test_worker_that_ignores_sigterm(launcher: Launcher) -> None:
    """Its stacks are in its log, so that one sees where it was."""
    script = launcher.script(
        """
        import os, signal, time
        if os.environ["RANK"] == "0":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            def stubborn():
                print("READY", flush=True)
                time.sleep(1000)
            stubborn()
        while not os.path.exists("go"):
            time.sleep(0.01)
        raise SystemExit(7)
        """
    )
    job = launcher.start("--nproc-per-node", 2, "--max-restarts", 0, "--shutdown-timeout", "500ms", script)
    job.wait_log("READY")
    (launcher.directory / "go").touch()
    assert job.wait() == 7
    assert "in stubborn" in job.log(0, stream="err.log")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stopped_from_outside(launcher: Launcher, number: int) -> None:
    job = launcher.start(
        "--nproc-per-node", 2, "--shutdown-timeout", "2s", launcher.script(FAMILY + "    time.sleep(1000)")
    )
    for rank in (0, 1):
        job.wait_log("GRANDCHILD", rank)
    job.signal(number)
    assert job.wait() == 128 + number
    assert job.result["outcome"] == "stopped"


def test_second_interrupt_does_not_wait(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("READY", flush=True)
        time.sleep(1000)
        """
    )
    job = launcher.start("--shutdown-timeout", "10m", script)
    job.wait_log("READY")
    job.signal(signal.SIGINT)
    wait_until(lambda: job.events("worker.stopping"), "the first interrupt")
    job.signal(signal.SIGINT)
    assert job.wait() == 130


def test_a_stopped_worker_is_ended_too(launcher: Launcher) -> None:
    job = launcher.start(launcher.script("import time; print('READY', flush=True); time.sleep(1000)"))
    job.wait_log("READY")
    os.kill(job.worker_pid(0), signal.SIGSTOP)
    job.signal(signal.SIGTERM)
    assert job.wait() == 143


def test_eight_workers_on_two_cores(launcher: Launcher) -> None:
    script = launcher.script("import os, time; time.sleep(0.1); print(os.environ['RANK'])")
    job = launcher.run("--nproc-per-node", 8, script)
    assert job.process.returncode == 0
    assert [job.log(rank) for rank in range(8)] == [f"{rank}\n" for rank in range(8)]


def test_two_jobs_at_once(launcher: Launcher) -> None:
    """Each has its own rendezvous port and run directory, also when started in the same second."""
    script = launcher.script(
        """
        import os, pathlib, time
        pathlib.Path(os.environ["NAME"]).write_text(os.environ["MASTER_PORT"])
        while len([n for n in ("one", "two") if os.path.exists(n)]) < 2:
            time.sleep(0.01)
        """
    )
    jobs = [launcher.start(script, runs=f"runs-{name}", env={"NAME": name}) for name in ("one", "two")]
    assert [job.wait() for job in jobs] == [0, 0]
    ports = {(launcher.directory / name).read_text() for name in ("one", "two")}
    assert len(ports) == 2


def is_shim(pid: int) -> bool:
    try:
        return b"/agent/shim.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_kill_loop(launcher: Launcher) -> None:
    """kill -9 of random members of the family at random moments, five jobs, four workers each."""
    import random

    chance = random.Random(0)
    for number in range(5):
        script = launcher.script(FAMILY + "    time.sleep(1000)", f"train{number}.py")
        job = launcher.start("--nproc-per-node", 4, "--max-restarts", 100, script, runs=f"runs{number}")
        job.wait_log("READY", 3)
        for last in (False, False, False, False, True):
            # Agent and shim together are one too many (docs/decisions/0001).
            victims = [pid for pid in launcher.processes() if pid != job.pid and not (last and is_shim(pid))]
            victim = chance.choice(victims or [job.pid])
            if is_alive(victim):
                os.kill(victim, signal.SIGKILL)
            time.sleep(chance.random() / 10)  # not a wait for anything: the moment is to be random
        job.process.kill()
        job.wait()
        wait_until(lambda: not launcher.processes(), "the end of all processes", timeout=5)
