"""A script finds what plain Python would give it."""

import json
import subprocess
import sys

import pytest

from tests.support import Launcher

INSPECT = """
import json, os, sys
main = sys.modules["__main__"]
print(json.dumps({
    "name": __name__, "file": __file__, "argv": sys.argv, "path0": sys.path[0], "spec": repr(__spec__)[:10],
    "same": main.__dict__ is globals(), "builtins": __builtins__ is sys.modules["builtins"],
    "doc": __doc__, "annotations": "__annotations__" in globals(), "cwd": os.getcwd(),
}))
"""


@pytest.mark.parametrize(
    "words", [["train.py"], ["./train.py", "--x", "1"], ["-m", "train", "a"], ["-m", "pkg", "b"]]
)
def test_same_as_plain_python(launcher: Launcher, words: list[str]) -> None:
    launcher.script(INSPECT)
    (launcher.directory / "pkg").mkdir()
    launcher.script(INSPECT, "pkg/__main__.py")
    launcher.script("", "pkg/__init__.py")
    plain = subprocess.run(
        [sys.executable, *words], cwd=launcher.directory, capture_output=True, text=True, check=True
    )
    ours = launcher.run(*words)
    assert json.loads(ours.stdout) == json.loads(plain.stdout)


def test_the_traceback_is_the_users_own(launcher: Launcher) -> None:
    script = launcher.script("def f():\n    raise KeyError('lr')\nf()\n")
    plain = subprocess.run([sys.executable, script], cwd=launcher.directory, capture_output=True, text=True)
    ours = launcher.run("--max-restarts", 0, script)
    assert ours.log(stream="err.log") == plain.stderr
    error = ours.result["attempts"][0]["failure"]["error"]
    assert (error["type"], error["line"], error["function"]) == ("KeyError", 2, "f")


def test_a_syntax_error_is_shown_as_python_shows_it(launcher: Launcher) -> None:
    script = launcher.script("x = = 1\n")
    plain = subprocess.run([sys.executable, script], cwd=launcher.directory, capture_output=True, text=True)
    ours = launcher.run("--max-restarts", 0, script)
    assert ours.log(stream="err.log").splitlines()[-1] == plain.stderr.splitlines()[-1]
    assert "SyntaxError" in ours.stderr


def test_multiprocessing_spawn_finds_the_script(launcher: Launcher) -> None:
    """What a DataLoader's workers do on platforms that spawn: they import the main script by its path."""
    script = launcher.script(
        """
        import multiprocessing

        def double(x):
            return 2 * x

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [1, 2]))
        """
    )
    assert launcher.run(script).stdout == "[2, 4]\n"


def test_a_replaced_excepthook_is_used(launcher: Launcher) -> None:
    script = launcher.script("import sys; sys.excepthook = lambda *a: print('mine', a[0].__name__); 1 / 0")
    assert launcher.run("--max-restarts", 0, script).stdout == "mine ZeroDivisionError\n"


def test_keyboard_interrupt_in_a_script(launcher: Launcher) -> None:
    job = launcher.run("--max-restarts", 0, launcher.script("raise KeyboardInterrupt"))
    assert job.process.returncode == 130


def test_worker_environment(launcher: Launcher) -> None:
    script = launcher.script("import json, os; print(json.dumps(dict(os.environ)), flush=True)")
    job = launcher.run(
        "--nproc-per-node",
        2,
        "--role",
        "trainer",
        "--rdzv-id",
        "my-id",
        script,
        env={"LAUNCHER_MAX_RESTARTS": "5"},
    )
    for rank in (0, 1):
        env = json.loads(job.log(rank))
        expected = {
            "RANK": f"{rank}",
            "LOCAL_RANK": f"{rank}",
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "GROUP_RANK": "0",
            "GROUP_WORLD_SIZE": "1",
            "ROLE_NAME": "trainer",
            "ROLE_RANK": f"{rank}",
            "ROLE_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "TORCHELASTIC_RESTART_COUNT": "0",
            "TORCHELASTIC_MAX_RESTARTS": "5",
            "TORCHELASTIC_RUN_ID": "my-id",
            "TORCHELASTIC_USE_AGENT_STORE": "False",
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        }
        assert {name: env.get(name) for name in expected} == expected
        assert 0 < int(env["MASTER_PORT"]) < 65536
        assert int(env["OMP_NUM_THREADS"]) >= 1
        assert "LAUNCHER_MAX_RESTARTS" not in env  # a launcher inside the worker inherits no options


def test_safe_path_is_respected(launcher: Launcher) -> None:
    launcher.script("import sys, os; print(os.getcwd() in sys.path, any('agent' in p for p in sys.path))")
    assert launcher.run("train.py").stdout == "True False\n"
    assert launcher.run("train.py", env={"PYTHONSAFEPATH": "1"}, runs="safe").stdout == "False False\n"


def test_descriptors_of_the_worker(launcher: Launcher) -> None:
    """No descriptor of launcher or shim leaks into what the user's program starts."""
    script = launcher.script(
        "import subprocess; subprocess.run(['ls', '-l', '/proc/self/fd'], close_fds=False)"
    )
    listing = launcher.run(script).stdout
    assert "0 -> " in listing
    assert "socket" not in listing
    assert "memfd" not in listing


def test_default_signals_of_the_worker(launcher: Launcher) -> None:
    """SIGPIPE as Python starts with it, and in a program that is not Python its default."""
    script = launcher.script("import signal; print(signal.getsignal(signal.SIGPIPE).name)")
    assert launcher.run(script).stdout == "SIG_IGN\n"
    job = launcher.run("--no-python", "sh", "-c", "grep SigIgn /proc/self/status", runs="more")
    assert int(job.stdout.split()[1], 16) & (1 << 12) == 0


def test_no_python_knows_nothing_of_the_page(launcher: Launcher) -> None:
    job = launcher.run("--no-python", "sh", "-c", "env")
    assert "LAUNCHER_WORKER_TELEMETRY" not in job.stdout
