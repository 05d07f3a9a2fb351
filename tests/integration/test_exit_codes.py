"""The root-cause worker's own code always wins."""

import signal
import sys

import pytest

from tests.support import Launcher


def test_success(launcher: Launcher) -> None:
    job = launcher.run("--nproc-per-node", 2, launcher.script("print('fine')"))
    assert job.process.returncode == 0
    assert job.result["outcome"] == "succeeded"
    assert job.result["exit_code"] == 0
    assert job.stdout == "fine\n"  # rank 0's, and nothing else: stdout is the user's


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(42)", 42),
        ("os._exit(3)", 3),
        ("raise ValueError('no')", 1),
        ("sys.exit('a message')", 1),
        ("os.kill(os.getpid(), 9)", 137),
        ("os.kill(os.getpid(), 15)", 143),
        ("os.abort()", 134),
        ("import ctypes; ctypes.string_at(0)", 139),
    ],
)
def test_the_first_failing_ranks_code(launcher: Launcher, ending: str, code: int) -> None:
    script = launcher.script(
        f"""
        import os, sys, time
        if os.environ["RANK"] == "1":
            {ending}
        time.sleep(60)
        """
    )
    job = launcher.run("--nproc-per-node", 3, "--max-restarts", 0, script)
    assert job.process.returncode == code
    assert job.result["exit_code"] == code
    assert job.result["attempts"][0]["failure"]["rank"] == 1
    assert job.result["attempts"][0]["victims"] == [0, 2]


def test_a_program_that_is_not_python(launcher: Launcher) -> None:
    job = launcher.run(
        "--no-python", "--nproc-per-node", 2, "sh", "-c", "echo $RANK of $WORLD_SIZE; exit $RANK"
    )
    assert job.process.returncode == 1
    assert job.log(rank=1) == "1 of 2\n"


def test_a_program_that_cannot_be_executed(launcher: Launcher) -> None:
    broken = launcher.script("#!/no/such/interpreter\n", "broken")
    broken.chmod(0o755)
    job = launcher.run("--no-python", "--max-restarts", 0, broken)
    assert job.process.returncode == 127
    assert "could not be started" in job.stderr


def test_a_crash_after_the_end_counts_as_success(launcher: Launcher) -> None:
    """C++ destructors of finished DDP jobs abort now and then: "terminate called without ..."."""
    script = launcher.script(
        """
        import atexit, os, sys
        atexit.register(lambda: open("saved", "w").close())
        class Late:
            def __del__(self, abort=os.abort):
                abort()
        sys.stay = Late()  # destroyed with the interpreter, after all atexit handlers
        """
    )
    job = launcher.run("--nproc-per-node", 2, script)
    assert job.process.returncode == 0
    assert "counted as success" in job.stderr
    assert job.events("worker.late_crash")
    assert (launcher.directory / "saved").exists()


def test_a_crash_in_an_atexit_handler_is_a_failure(launcher: Launcher) -> None:
    """The handler may have been about to save something."""
    script = launcher.script("import atexit, os; atexit.register(os.abort)")
    job = launcher.run("--max-restarts", 0, script)
    assert job.process.returncode == 128 + signal.SIGABRT


def test_the_code_of_a_python_without_bootstrap(launcher: Launcher) -> None:
    script = launcher.script("import sys; print(sys.argv[1:]); sys.exit(5)")
    job = launcher.run("--bootstrap", "off", "--max-restarts", 0, script, "--lr", "1")
    assert job.process.returncode == 5
    assert job.stdout == "['--lr', '1']\n"


def test_python_exec_chooses_the_interpreter(launcher: Launcher) -> None:
    wrapper = launcher.script(f'#!/bin/sh\nCHOSEN=yes exec {sys.executable} "$@"\n', "my-python")
    wrapper.chmod(0o755)
    script = launcher.script("import os; print(os.environ['CHOSEN'])")
    assert launcher.run(script, env={"PYTHON_EXEC": str(wrapper)}).stdout == "yes\n"
