"""Workers that hang, each under the bootstrap and with a page of its own, but without an agent."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ma_training.agent.bootstrap
from ma_training.agent.asked import RecordAsked, StacksAsked
from ma_training.agent.telemetry import TelemetryPage
from ma_training.watchdog.process_tree import tree_of
from ma_training.watchdog.stacks import Subject

from .support import wait_until


@dataclass
class Worker:
    rank: int
    process: "subprocess.Popen[bytes]"
    page: TelemetryPage
    log: Path
    stacks: StacksAsked
    record: RecordAsked

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return self.log.read_text()

    def subject(self) -> Subject:
        return Subject(self.rank, self.pid, self.stacks, tuple(tree_of(self.pid)))


class Workers:
    """Start them; `end` kills what is left of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.all: list[Worker] = []

    def start(self, count: int = 1, says: str = "up", **variables: str) -> list[Worker]:
        """Runs train.py as so many ranks, until each has printed ``says``."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        started = [self._start(rank, shared | variables) for rank in range(count)]
        for worker in started:
            self.wait(lambda worker=worker: says in worker.text, f"{says!r} of rank {worker.rank}")
        return started

    def _start(self, rank: int, variables: dict[str, str]) -> Worker:
        page, log = TelemetryPage(rank), self._directory / f"rank{rank}.log"
        environ = (
            os.environ | variables | {"RANK": str(rank), "LAUNCHER_WORKER_TELEMETRY": str(page.fileno())}
        )
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", ma_training.agent.bootstrap.__file__, "script", "train.py"],
                cwd=self._directory,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[page.fileno()],
                start_new_session=True,
            )
        worker = Worker(rank, process, page, log, StacksAsked(page), RecordAsked(page))
        self.all.append(worker)
        return worker

    def wait(self, condition: Callable[[], object], what: str) -> None:
        def there() -> object:
            for worker in self.all:
                if worker.process.poll() not in (None, 0):
                    raise AssertionError(f"rank {worker.rank} ended, waiting for {what}\n{worker.text}")
            return condition()

        wait_until(there, what)

    def end(self) -> None:
        for worker in self.all:
            try:
                os.killpg(worker.pid, signal.SIGKILL)  # its children are in its session, and in its group
            except ProcessLookupError:
                pass
            worker.process.wait()
            worker.page.close()
