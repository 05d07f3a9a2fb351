"""Started by odd parents, in odd places: the job and its exit code come first."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import COMMAND, PATIENCE, Launcher, is_alive, wait_until


def shell(launcher: Launcher, line: str) -> "subprocess.CompletedProcess[str]":
    """Runs a line of sh, in which $L is the launcher."""
    env = launcher.environ(L=COMMAND)
    return subprocess.run(
        ["sh", "-c", line], cwd=launcher.directory, env=env, capture_output=True, text=True, timeout=PATIENCE
    )


def test_sigchld_ignored_by_whoever_started_us(launcher: Launcher) -> None:
    """The kernel would reap workers before anyone has seen how they ended."""
    launcher.script("raise SystemExit(3)")
    assert shell(launcher, "trap '' CHLD; exec $L --max-restarts 0 train.py").returncode == 3


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams(launcher: Launcher, closed: str) -> None:
    launcher.script("import os; open('done', 'w').close(); os._exit(6)")
    assert shell(launcher, f"exec $L --max-restarts 0 train.py {closed}").returncode == 6
    assert (launcher.directory / "done").exists()


def test_a_sidecar_that_was_there_before_us_stays(launcher: Launcher) -> None:
    launcher.script("print('trained')")
    shell(launcher, "sleep 1000 >/dev/null 2>&1 & echo $! > sidecar; exec $L train.py")
    sidecar = int((launcher.directory / "sidecar").read_text())
    assert is_alive(sidecar)
    os.kill(sidecar, signal.SIGKILL)


def test_a_working_directory_that_is_removed(launcher: Launcher) -> None:
    (launcher.directory / "work").mkdir()
    launcher.script("import os, shutil; shutil.rmtree(os.getcwd()); os._exit(7)")
    done = shell(launcher, "cd work && exec $L --max-restarts 0 --run-dir ../runs ../train.py")
    assert done.returncode == 7
    assert "Traceback" not in done.stderr


def test_signals_to_a_whole_cgroup_are_left_to_the_agent(launcher: Launcher) -> None:
    """systemd and Slurm signal every process: a shim that died of it would take its worker with it."""
    script = launcher.script(
        """
        import signal, sys, time
        def save(*_):
            open("saved", "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print("READY", flush=True)
        time.sleep(1000)
        """
    )
    job = launcher.start(script)
    job.wait_log("READY")
    shim = int(Path(f"/proc/{job.worker_pid(0)}/stat").read_text().rpartition(") ")[2].split()[1])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(shim, number)
    assert is_alive(shim)
    assert is_alive(job.worker_pid(0))
    job.signal(signal.SIGTERM)
    assert job.wait() == 143
    assert (launcher.directory / "saved").exists()


def test_a_stopped_agent_that_is_killed(launcher: Launcher) -> None:
    """Its shim has told it something that it will never read: the socket is reset, not closed."""
    script = launcher.script(
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        os.wait()
        print("READY", flush=True)
        while not os.path.exists("end"):
            time.sleep(0.01)
        """
    )
    job = launcher.start(script)
    job.wait_log("READY")
    worker = job.worker_pid(0)
    job.signal(signal.SIGSTOP)
    (launcher.directory / "end").touch()
    wait_until(lambda: not is_alive(worker), "the worker's end")
    job.process.kill()
    job.wait()
    wait_until(lambda: not launcher.processes(), "the end of all processes", timeout=10)


def test_scripts_that_are_no_files(launcher: Launcher) -> None:
    done = shell(launcher, "echo 'print(1)' | $L /dev/stdin")
    assert done.returncode == 64
    assert "is not a file" in done.stderr


def test_a_log_directory_that_is_a_file(launcher: Launcher) -> None:
    launcher.script("print(1)")
    (launcher.directory / "logs").touch()
    assert launcher.run_bare("--log-dir", "logs", "train.py").process.returncode == 64


def test_help_among_options(launcher: Launcher) -> None:
    for words in (["run", "--help"], ["--max-restarts", "3", "-h"]):
        job = launcher.run_bare(*words)
        assert job.process.returncode == 0
        assert job.stdout.startswith("usage: launcher")


def test_an_exception_that_cannot_be_printed(launcher: Launcher) -> None:
    script = launcher.script(
        """
        class Odd(Exception):
            def __str__(self):
                raise TypeError("no")
        raise Odd
        """
    )
    job = launcher.run("--max-restarts", 0, script)
    assert "raised Odd: <its __str__ raised TypeError>" in job.stderr
    assert "bootstrap.py" not in job.stderr


def test_a_long_message_in_another_alphabet(launcher: Launcher) -> None:
    job = launcher.run("--max-restarts", 0, launcher.script("raise ValueError('训' * 10000)"))
    assert "raised ValueError: 训训" in job.stderr


def test_a_rank_that_left_early_is_named(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import os, time
        if os.environ["RANK"] == "1":
            open("left", "w").close()
            raise SystemExit(0)
        while not os.path.exists("left"):
            time.sleep(0.01)
        time.sleep(0.3)
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:2435")
        """
    )
    job = launcher.run("--nproc-per-node", 2, "--max-restarts", 0, script)
    incident = json.loads((job.run / "incidents/0/incident.json").read_text())
    assert "rank 1 had ended before, with code 0" in incident["evidence"][0]
    assert "rank 1 had ended before" in job.stderr


def test_quitting_the_debugger_ends_the_job(launcher: Launcher) -> None:
    job = launcher.run(launcher.script("import bdb; raise bdb.BdbQuit"))
    assert len(job.result["attempts"]) == 1
    assert "you quit the debugger" in job.stderr


def test_a_slow_reader_of_stderr_does_not_keep_a_signal_from_the_workers(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (open("told", "w").close(), sys.exit(0)))
        sys.stderr.write("x" * 1_000_000)
        print("READY", flush=True)
        time.sleep(1000)
        """
    )
    read, write = os.pipe()
    job = launcher.start(script, stdout=write, stderr=write)
    os.close(write)
    job.wait_log("READY")
    job.signal(signal.SIGTERM)
    wait_until((launcher.directory / "told").exists, "the signal to arrive")
    with open(read, "rb") as reader:
        assert b"SIGTERM received" in reader.read()
    assert job.wait() == 143
