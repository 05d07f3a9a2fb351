"""A failed attempt is followed by another one, where that makes sense."""

import signal
import socket

from tests.support import Launcher


def test_all_workers_are_restarted(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import os, time
        print(os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["MASTER_PORT"], flush=True)
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            if os.environ["RANK"] == "0":
                open("printed", "w").close()
                time.sleep(1000)
            while not os.path.exists("printed"):
                time.sleep(0.01)
            os.kill(os.getpid(), 9)
        """
    )
    job = launcher.run("--nproc-per-node", 2, script)
    assert job.process.returncode == 0
    assert job.result["restarts"] == 1
    first, second = job.stdout.splitlines()
    assert (first.split()[0], second.split()[0]) == ("0", "1")
    assert first.split()[1] != second.split()[1]  # attempts share no rendezvous
    (started, again) = job.events("attempt.ended")
    assert (started.data["outcome"], again.data["outcome"]) == ("failed", "succeeded")
    assert started.data["cause"] == "rank 1 was killed by SIGKILL"


def test_the_budget_is_the_jobs(launcher: Launcher) -> None:
    """Failures of different ranks and causes count together."""
    script = launcher.script(
        "import os, sys; attempt = int(os.environ['TORCHELASTIC_RESTART_COUNT'])\n"
        "sys.exit(10 + attempt if int(os.environ['RANK']) == attempt % 2 else 0)"
    )
    job = launcher.run("--nproc-per-node", 2, "--max-restarts", 2, script)
    assert job.process.returncode == 12
    assert len(job.result["attempts"]) == 3
    assert "all 2 restarts are used up" in job.stderr


def test_a_failure_that_repeats_at_once_ends_the_job(launcher: Launcher) -> None:
    job = launcher.run("--max-restarts", 100, launcher.script("1 / 0"))
    assert job.process.returncode == 1
    assert len(job.result["attempts"]) == 2
    assert "the same failure twice in a row" in job.stderr
    assert "ZeroDivisionError: division by zero" in job.stderr


def test_back_off_can_be_interrupted(launcher: Launcher) -> None:
    script = launcher.script("import os; exit(int(os.environ['TORCHELASTIC_RESTART_COUNT']) + 1)")
    job = launcher.start("--max-restarts", 100, script)
    while "restarting all workers in" not in job.process.stderr.readline():
        assert job.process.poll() is None
    job.signal(signal.SIGTERM)
    assert job.wait() == 143


def test_a_taken_port_costs_no_restart(launcher: Launcher) -> None:
    """Someone else listens on it before rank 0 does: the next attempt has another one."""
    script = launcher.script(
        """
        import os, socket
        server = socket.socket()
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            thief = socket.socket()
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("", int(os.environ["MASTER_PORT"])))
            thief.listen()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("", int(os.environ["MASTER_PORT"])))
        server.listen()
        """
    )
    job = launcher.run("--max-restarts", 0, script)
    assert job.process.returncode == 0
    assert job.result["restarts"] == 0
    assert len(job.result["attempts"]) == 2


def test_a_given_port_is_kept(launcher: Launcher) -> None:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    script = launcher.script(
        "import os, sys; print(os.environ['MASTER_PORT'])\n"
        "sys.exit(int(os.environ['TORCHELASTIC_RESTART_COUNT']) == 0)"
    )
    job = launcher.run("--master-port", port, script)
    assert job.stdout.split() == [str(port), str(port)]
