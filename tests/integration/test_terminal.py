"""On a real terminal, as a shell would run it: pdb, Ctrl-C, Ctrl-Z and fg, nohup."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import COMMAND, PATIENCE, Launcher, is_alive, wait_until


class Terminal:
    """An interactive bash with job control on a pseudo-terminal of its own."""

    def __init__(self, launcher: Launcher) -> None:
        self.seen = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(launcher.directory)
            env = launcher.environ(PS1="$ ", TERM="dumb", PATH=f"{Path(COMMAND).parent}:{os.environ['PATH']}")
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], env)
        os.set_blocking(self._fd, False)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> None:
        """Waits until ``text`` has appeared since the last expected text."""

        def there() -> bool:
            try:
                self.seen += os.read(self._fd, 65536).decode(errors="replace")
            except (BlockingIOError, OSError):
                pass
            return text in self.seen

        try:
            wait_until(there, f"{text!r} on the terminal")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows {self.seen[-2000:]!r}") from None
        self.seen = self.seen.partition(text)[2]

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def terminal(launcher: Launcher) -> Iterator[Terminal]:
    terminal = Terminal(launcher)
    yield terminal
    terminal.close()


def test_pdb_works_in_a_single_worker(launcher: Launcher, terminal: Terminal) -> None:
    launcher.script("x = 20\nbreakpoint()\nprint('after', x)\n")
    terminal.type("launcher train.py\n")
    terminal.expect("(Pdb) ")
    terminal.type("p x + 1\n")
    terminal.expect("21")
    terminal.expect("(Pdb) ")
    terminal.type("x = 5\n")
    terminal.expect("(Pdb) ")
    terminal.type("c\n")
    terminal.expect("after 5")
    terminal.expect("finished")


def test_ctrl_c(launcher: Launcher, terminal: Terminal) -> None:
    """Workers get it once, from the launcher: they are not in the terminal's process group."""
    launcher.script(
        """
        import time
        try:
            print("READY", flush=True)
            time.sleep(1000)
        except KeyboardInterrupt:
            time.sleep(0.3)
            print("cleaned" + " up", flush=True)
        """
    )
    terminal.type("launcher --nproc-per-node 2 train.py; echo code=$?\n")
    terminal.expect("READY")
    terminal.type("\x03")
    terminal.expect("cleaned up")
    terminal.expect("code=130")


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_z_stops_and_fg_continues_the_whole_job(
    launcher: Launcher, terminal: Terminal, workers: int
) -> None:
    launcher.script(
        """
        import os, subprocess, time
        child = subprocess.Popen(["sleep", "1000"])
        open(f"pids-{os.environ['RANK']}.tmp", "w").write(f"{os.getpid()} {child.pid}")
        os.rename(f"pids-{os.environ['RANK']}.tmp", f"pids-{os.environ['RANK']}")
        while not os.path.exists("end"):
            time.sleep(0.01)
        child.kill()
        print("ended" + " well", flush=True)
        """
    )
    terminal.type(f"launcher --nproc-per-node {workers} train.py\n")
    files = [launcher.directory / f"pids-{rank}" for rank in range(workers)]
    wait_until(lambda: all(file.exists() for file in files), "the workers")
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    terminal.type("\x1a")
    terminal.expect("Stopped")
    wait_until(lambda: all(state(pid) == "T" for pid in pids), "all to be stopped")
    terminal.type("fg\n")
    wait_until(lambda: all(state(pid) in "SR" for pid in pids), "all to run again")
    (launcher.directory / "end").touch()
    terminal.expect("ended well")
    terminal.expect("finished")


def test_a_worker_that_owns_the_terminal_waits_in_the_background(
    launcher: Launcher, terminal: Terminal
) -> None:
    """It would take the shell's input; sessions of its own, no job control stops it from reading."""
    launcher.script("print('READY', flush=True); print('got', input())")
    terminal.type("launcher train.py\n")
    terminal.expect("READY")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("bg\n")
    terminal.expect("bring the job back with fg")
    terminal.type("fg\n")
    terminal.expect("launcher train.py")
    terminal.type("line\n")
    terminal.expect("got line")


def test_nohup(launcher: Launcher) -> None:
    """A signal that was ignored when the launcher started stays ignored; torchrun dies of it."""
    launcher.script(
        """
        import os, time
        print("READY", flush=True)
        while not os.path.exists("end"):
            time.sleep(0.01)
        """
    )
    process = subprocess.Popen(
        ["nohup", COMMAND, "--nproc-per-node", "2", "train.py"],
        cwd=launcher.directory,
        env=launcher.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        while b"READY" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        (launcher.directory / "end").touch()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def test_forwarded_signals(launcher: Launcher) -> None:
    """SIGUSR1 reaches a worker that handles it, and does not kill one that does not."""
    script = launcher.script(
        """
        import os, signal, time
        got = []
        if os.environ["RANK"] == "0":
            signal.signal(signal.SIGUSR1, lambda *a: got.append(1))
        print("READY", flush=True)
        while not (got or os.path.exists("got")):
            time.sleep(0.01)
        open("got", "w").close()
        print("got it", flush=True)
        """
    )
    job = launcher.start("--nproc-per-node", 2, script)
    job.wait_log("READY", 0)
    job.wait_log("READY", 1)
    job.signal(signal.SIGUSR1)
    assert job.wait() == 0
    assert "SIGUSR1 was not passed on to rank 1" in job.stderr


def test_piped_input_reaches_a_single_worker(launcher: Launcher) -> None:
    script = launcher.script("import sys; print(sys.stdin.read().upper())")
    read, write = os.pipe()
    os.write(write, b"hello")
    os.close(write)
    job = launcher.start(script, stdin=read)
    os.close(read)
    assert job.wait() == 0
    assert job.stdout == "HELLO\n"


def test_a_reader_that_goes_away_does_not_end_the_job(launcher: Launcher) -> None:
    """launcher train.py | head"""
    script = launcher.script(
        """
        import os, time
        for number in range(2000):
            print(number, "x" * 100, flush=True)
        open("end", "w").close()
        """
    )
    read, write = os.pipe()
    job = launcher.start(script, stdout=write)
    os.close(write)
    os.close(read)
    assert job.wait() == 0
    assert (launcher.directory / "end").exists()
    assert job.log().splitlines()[-1].startswith("1999 ")


def test_a_slow_reader_blocks_no_worker(launcher: Launcher) -> None:
    script = launcher.script("import os; print('x' * 1_000_000); open('end', 'w').close(); os._exit(0)")
    read, write = os.pipe()
    job = launcher.start(script, stdout=write)
    os.close(write)
    wait_until((launcher.directory / "end").exists, "the worker's end")
    with open(read, "rb") as reader:
        assert len(reader.read()) == 1_000_001
    assert job.wait() == 0
    assert not is_alive(job.pid)
