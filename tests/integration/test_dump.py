"""`launcher dump`: of a job that runs, whatever it does, and what is said where none does."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ma_training.watchdog.kernel_state import main_state
from tests.support import Job, Launcher, wait_until

WAITS = """
import os, threading
rank = os.environ["RANK"]

def wait_for_ever():
    print("up", flush=True)
    threading.Event().wait()

wait_for_ever() if rank == "0" else threading.Thread(target=wait_for_ever).start()
"""


def running(launcher: Launcher, script: str = WAITS, ranks: int = 2) -> Job:
    job = launcher.start("--nproc-per-node", ranks, launcher.script(script))
    for rank in range(ranks):
        job.wait_log("up", rank)
        pid = job.worker_pid(rank)
        wait_until(lambda pid=pid: main_state(pid) == "S", f"rank {rank} asleep")
    return job


def test_a_running_job(launcher: Launcher) -> None:
    job = running(launcher)
    dump = launcher.run_bare("dump")
    assert dump.process.returncode == 0
    first, *_ = dump.stdout.splitlines()
    assert "rank 0 is waiting for a lock at train.py:7" in first
    assert "rank 1 is past the end of its script at train.py:7" in first
    assert f"rank 0 (pid {job.worker_pid(0)}; py-spy)" in dump.stdout
    assert f"    wait_for_ever ({launcher.directory}/train.py:7)\n" in dump.stdout
    assert "bootstrap.py" not in dump.stdout

    (kept,) = (job.run / "dumps").iterdir()
    assert str(kept.relative_to(launcher.directory)) in dump.stderr
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, kept.parent)] == [0o600, 0o700]
    record = json.loads(kept.read_text())
    assert (record["v"], record["job"], record["culprits"]) == (1, job.run.name, [0, 1])
    assert sorted(one["rank"] for one in record["ranks"]) == [0, 1]
    assert job.process.poll() is None


def test_json_is_what_is_kept(launcher: Launcher) -> None:
    job = running(launcher, ranks=1)
    dump = launcher.run_bare("dump", "--json", job.run.name)
    (kept,) = (job.run / "dumps").iterdir()
    assert dump.stdout == kept.read_text()
    assert json.loads(dump.stdout)["ranks"][0]["threads"][0]["frames"]


@pytest.mark.parametrize("which", ["launcher", "worker", "directory"])
def test_a_run_is_named_in_many_ways(launcher: Launcher, which: str) -> None:
    job = running(launcher)
    names = {"launcher": str(job.pid), "worker": str(job.worker_pid(1)), "directory": str(job.run)}
    dump = launcher.run_bare("dump", names[which], "--json")
    ranks = [one["rank"] for one in json.loads(dump.stdout)["ranks"]]
    assert sorted(ranks) == ([1] if which == "worker" else [0, 1])


def test_without_py_spy_the_workers_are_asked(launcher: Launcher) -> None:
    """Another process than their launcher asks; neither the log nor the count of steps is touched."""
    job = running(launcher, ranks=1)
    code = (
        "import sys; from ma_training.watchdog import pyspy; pyspy.find = lambda: None\n"
        "from launchers.cli import main; sys.exit(main(['dump']))"
    )
    dump = subprocess.run(
        [sys.executable, "-c", code],
        cwd=launcher.directory,
        env=launcher.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"rank 0 (pid {job.worker_pid(0)}; faulthandler)" in dump.stdout
    assert "wait_for_ever" in dump.stdout
    assert job.log() == "up\n"


def test_a_program_that_is_not_python(launcher: Launcher) -> None:
    path = launcher.script("#!/bin/sh\necho up\nexec sleep 1000\n", "train.sh")
    path.chmod(0o700)
    job = launcher.start("--no-python", "./train.sh")
    job.wait_log("up")
    dump = launcher.run_bare("dump")
    assert dump.process.returncode == 0
    assert "cannot be looked at" in dump.stdout
    assert "it does not run under the launcher's bootstrap" in dump.stdout


def test_a_worker_that_is_stopped(launcher: Launcher) -> None:
    job = running(launcher, ranks=1)
    os.kill(job.worker_pid(0), signal.SIGSTOP)
    dump = launcher.run_bare("dump")
    os.kill(job.worker_pid(0), signal.SIGCONT)
    assert "rank 0 is stopped (SIGSTOP) at train.py:" in dump.stdout


def test_no_job(launcher: Launcher) -> None:
    dump = launcher.run_bare("dump")
    assert dump.process.returncode == 64
    assert "no job of runs runs on this host" in dump.stderr
    assert "hint: name a run directory" in dump.stderr


def test_a_job_that_has_ended(launcher: Launcher) -> None:
    job = launcher.run(launcher.script("pass"))
    for words in (["dump"], ["dump", job.run.name]):
        assert launcher.run_bare(*words).process.returncode == 64
    assert f"{job.run.relative_to(launcher.directory)} has ended" in launcher.run_bare("dump", str(
        job.run.relative_to(launcher.directory)
    )).stderr  # fmt: skip


def test_a_launcher_that_was_killed(launcher: Launcher) -> None:
    job = running(launcher, ranks=1)
    job.signal(signal.SIGKILL)
    job.wait()
    dump = launcher.run_bare("dump", job.run.name)
    assert dump.process.returncode == 64
    assert "its launcher was killed" in dump.stderr


def test_a_job_on_another_host(launcher: Launcher) -> None:
    job = running(launcher, ranks=1)
    for path in (job.run / "events").iterdir():
        wait_until(lambda path=path: "job.started" in path.read_text(), "the first event")
        copy = path.read_text().replace(f'"host": "{os.uname().nodename}"', '"host": "elsewhere"')
    other = launcher.directory / "runs" / "other"
    (other / "events").mkdir(parents=True)
    (other / "events/node1.ndjson").write_text(copy)
    dump = launcher.run_bare("dump", "other")
    assert dump.process.returncode == 64
    assert f"runs/other does not run on this host ({os.uname().nodename})" in dump.stderr
    assert "it runs on node0 (host elsewhere): run it there" in dump.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "there is no run nosuch"),
        (["1"], "is neither a launcher with workers nor one of them"),
        (["4194305"], "there is no process 4194305"),
        (["--jsno"], "unknown option --jsno"),
        (["a", "b"], "takes one run, not 2"),
        (["..", "--run-dir", "none"], "there is no run .."),
    ],
)
def test_what_is_not_understood(launcher: Launcher, words: list[str], said: str) -> None:
    dump = launcher.run_bare("dump", *words)
    assert dump.process.returncode == 64
    assert said in dump.stderr
    assert "hint:" in dump.stderr


def test_a_name_that_is_nearly_right(launcher: Launcher) -> None:
    job = running(launcher, ranks=1)
    dump = launcher.run_bare("dump", job.run.name[:-1])
    assert f"hint: did you mean {job.run.name}?" in dump.stderr


def test_damaged_events(launcher: Launcher) -> None:
    (launcher.directory / "runs/bad/events").mkdir(parents=True)
    Path(launcher.directory / "runs/bad/events/node0.ndjson").write_bytes(b'{"v": 1\n\xff\n[]\n')
    dump = launcher.run_bare("dump", "bad")
    assert dump.process.returncode == 64
    assert "does not run any more" in dump.stderr


AS_ANOTHER = """
import os, sys
from launchers.cli import dump, dump_target  # before it is nobody, who may not read this
from launchers.cli.errors import UsageError
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for words in (sys.argv[1:2], ["--run-dir", os.path.dirname(sys.argv[1])], sys.argv[2:]):
    try:
        dump.main(words)
    except UsageError as error:
        error.say()
"""


def test_another_users_run(launcher: Launcher) -> None:
    run = launcher.directory / "runs" / "theirs"
    (run / "events").mkdir(parents=True)
    run.chmod(0)
    init = "1" if os.getuid() else str(os.getpid())  # a process of someone else's
    words = [sys.executable, "-c", AS_ANOTHER, str(run), init]
    dump = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    run.chmod(0o700)
    assert dump.stderr.count(f"{run} is another user's") >= 1
    assert dump.stderr.count("is another user's") == 2
    assert dump.stderr.count("run it as the user who started the job") == 2
    assert f"process {init}" in dump.stderr
