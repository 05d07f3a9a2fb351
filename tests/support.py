"""Starts real launchers with real workers, and finds what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ma_training.events import Event, read_events

COMMAND = str(Path(sys.executable).with_name("launcher"))
PATIENCE = 30.0  # seconds: far beyond what anything here takes, for a loaded machine
MARK = "MA_TRAINING_TEST"


def wait_until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """The first true value of ``condition``. Fails with ``what`` was waited for."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(0.005)
    return value


def is_alive(pid: int) -> bool:
    """Running, that is: a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Job:
    """One launcher that was started."""

    def __init__(self, process: "subprocess.Popen[str]", directory: Path, runs: str) -> None:
        self.process, self.directory = process, directory
        self._runs = directory / runs
        self.stdout = self.stderr = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code."""
        self.stdout, self.stderr = self.process.communicate(timeout=timeout)
        return self.process.returncode

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    @property
    def run(self) -> Path:
        (run,) = (path for path in self._runs.iterdir() if path.name != "checkpoints")
        return run

    @property
    def result(self) -> dict[str, Any]:
        path = self.run / "result.json"
        if not path.exists():  # of a node that does not lead
            (path,) = self.run.glob("result-*.json")
        return json.loads(path.read_text())

    def events(self, kind: str = "", **fields: Any) -> list[Event]:
        if not self._runs.exists() or not list(self._runs.iterdir()):
            return []
        found = (event for event in read_events(self.run / "events") if kind in ("", event.kind))
        return [event for event in found if all(_field(event, name) == fields[name] for name in fields)]

    def log(self, rank: int = 0, attempt: int = 0, stream: str = "log") -> str:
        """What a rank wrote; its stderr is in ``err.log`` where the launcher's own is apart."""
        path = self.run / f"attempt-{attempt}" / f"node0-rank{rank}.{stream}"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_log(self, text: str, rank: int = 0, attempt: int = 0) -> None:
        def there() -> bool:
            assert self.process.poll() is None or text in self.log(rank, attempt), self._ended(text)
            return (
                self._runs.exists() and bool(list(self._runs.iterdir())) and text in self.log(rank, attempt)
            )

        wait_until(there, f"{text!r} in the log of rank {rank}")

    def _ended(self, text: str) -> str:
        self.wait()
        return f"the launcher ended before {text!r}: {self.process.returncode}\n{self.stdout}{self.stderr}"

    def worker_pid(self, rank: int, attempt: int = 0) -> int:
        (event,) = wait_until(
            lambda: self.events("worker.started", rank=rank, attempt=attempt), f"the start of rank {rank}"
        )
        return int(event.data["pid"])


def _field(event: Event, name: str) -> Any:
    return getattr(event, name) if hasattr(event, name) else event.data.get(name)


class Launcher:
    """Makes scripts, starts launchers, and answers for every process that comes of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._mark = uuid.uuid4().hex
        self._jobs: list[Job] = []

    def script(self, text: str, name: str = "train.py") -> Path:
        path = self.directory / name
        path.write_text(textwrap.dedent(text))
        return path

    def environ(self, **variables: str) -> dict[str, str]:
        """The test's own, without what an outer launcher or scheduler may have set."""
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("LAUNCHER_", "PET_"))
        }
        return ours | {MARK: self._mark} | variables

    def start(
        self, *words: str | Path | int, runs: str = "runs", env: dict[str, str] | None = None, **options: Any
    ) -> Job:
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        } | options
        process = subprocess.Popen(
            [COMMAND, "--run-dir", runs, *map(str, words)],
            cwd=self.directory,
            env=self.environ(**(env or {})),
            text=True,
            errors="replace",
            **options,
        )
        job = Job(process, self.directory, runs)
        self._jobs.append(job)
        return job

    def run(self, *words: str | Path | int, **options: Any) -> Job:
        """Starts a launcher and waits for its end."""
        job = self.start(*words, **options)
        job.wait()
        return job

    def run_bare(self, *words: str, env: dict[str, str] | None = None, timeout: float = PATIENCE) -> Job:
        """Runs a command exactly as given, with no option added."""
        job = self.start_bare(*words, env=env)
        job.wait(timeout)
        return job

    def start_bare(self, *words: str, env: dict[str, str] | None = None) -> Job:
        process = subprocess.Popen(
            [COMMAND, *words],
            cwd=self.directory,
            env=self.environ(**(env or {})),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        job = Job(process, self.directory, "runs")
        self._jobs.append(job)
        return job

    def processes(self) -> list[int]:
        """All living processes that carry this test's mark in their environment."""
        return [pid for pid in _all_pids() if is_alive(pid) and self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            return f"{MARK}={self._mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False

    def end(self) -> list[str]:
        """Kills what is left, and names it."""
        for job in self._jobs:
            if job.process.poll() is None:
                job.process.terminate()
                try:
                    job.wait(5)
                except subprocess.TimeoutExpired:
                    job.process.kill()
                    job.wait()
        try:
            wait_until(lambda: not self.processes(), "the end of all processes", timeout=5)
        except AssertionError:
            left = self.processes()
            names = [f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes()!r}" for pid in left]
            _kill(left)
            return names
        return []


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
