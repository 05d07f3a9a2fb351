"""One run of a drill: a launcher of its own, with directories of its own, watched to its end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ma_training.events import Event, read_events
from ma_training.keeper.plan import identity_of, key_of
from ma_training.snapshot import JobDirectory, default_root

from .drill_child import command
from .drill_digests import Record
from .drill_options import Drill

LOOK_EVERY = 0.2  # seconds
SAY_EVERY = 10.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal came that ends the drill."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Run:
    """``name``: straight, resumed or again; only the second has a kill in it."""

    def __init__(self, drill: Drill, root: Path, name: str, kill: bool) -> None:
        self.drill, self.kill, self.name = drill, kill, name
        self.path = root / name
        self.out = self.path / "out"
        self._checkpoints = self.path / "checkpoints"
        self._job_name = f"drill-{name}"
        self.out.mkdir(mode=0o700, parents=True)

    def execute(self) -> None:
        """Until the launcher has ended. Raises Interrupted, when it has ended, for a signal to us."""
        with open(self.path / "launcher.log", "wb") as output:
            process = subprocess.Popen(
                command(self._hook(), self._words()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is passed on by us, once
            )
            try:
                self._watch(process)
            except Interrupted as interrupted:
                _end(process, interrupted.number)
                raise
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                self._forget()

    def _words(self) -> list[str]:
        """Later options win over the user's own."""
        drill = self.drill
        own = {
            "run-dir": self.path / "runs",
            "log-dir": self.path / "logs",
            "name": self._job_name,
            "checkpoint-dir": self._checkpoints,
            "max-restarts": 1 if self.kill else 0,
        }
        words = [word for name, value in own.items() for word in (f"--{name}", str(value))]
        return [*drill.options, *words, *drill.script]

    def _hook(self) -> dict[str, Any]:
        return {
            "stop_at": self.drill.steps,
            "kill_at": self.drill.kill_at if self.kill else None,
            "kill_rank": self.drill.kill_rank,
            "out": str(self.out),
        }

    def _forget(self) -> None:
        """What a launcher leaves in memory where it could not save, or was killed."""
        key = key_of(identity_of(self._job_name, self._checkpoints), 0)
        directory = JobDirectory(default_root(), key)
        if directory.path.exists():
            directory.acquire("drill")
            directory.remove()

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        told = begun = time.monotonic()
        while True:
            try:
                process.wait(LOOK_EVERY)
                return
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now - told >= SAY_EVERY:
                told = now
                say(self._progress(now - begun))

    def _progress(self, seconds: float) -> str:
        step = self.commits()
        if step is None:
            return f"  no state.commit() after {seconds:.0f} s"
        return f"  step {step} of {self.drill.steps} after {seconds:.0f} s"

    # --- what it left ---

    def commits(self, rank: int = 0) -> int | None:
        """The last step that a rank committed; None where it committed none."""
        try:
            return int((self.out / f"rank-{rank}.step").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def ranks(self) -> dict[int, Record]:
        """What each rank wrote at the last step, and when it had restored."""
        found: dict[int, Record] = {}
        for rank in range(self.drill.world_size):
            path = self.out / f"rank-{rank}.json"
            if path.exists():
                restored = path.with_suffix(".restored")
                begun = json.loads(restored.read_text()) if restored.exists() else None
                found[rank] = {**json.loads(path.read_text()), "restored": begun}
        return found

    def result(self) -> dict[str, Any] | None:
        """The launcher's result.json; None where it was not come so far."""
        for path in (self.path / "runs").glob("*/result.json"):
            return dict(json.loads(path.read_text()))
        return None

    def events(self, kind: str) -> list[Event]:
        found = (path for path in (self.path / "runs").glob("*/events"))
        return [event for path in found for event in read_events(path) if event.kind == kind]

    def tail(self, rank: int, lines: int) -> list[str]:
        """The last that a rank wrote in its last attempt: of stderr, where it wrote there."""
        logs = sorted(self.path.glob(f"logs/*/attempt_*/{rank}"))
        for name in ("stderr.log", "stdout.log"):
            text = (
                (logs[-1] / name).read_text(errors="replace") if logs and (logs[-1] / name).exists() else ""
            )
            if found := [line for line in text.splitlines() if line.strip()]:
                return found[-lines:]
        return []

    def last_words(self, lines: int) -> list[str]:
        """Of the launcher itself."""
        return (self.path / "launcher.log").read_text(errors="replace").splitlines()[-lines:]


def say(text: str) -> None:
    sys.stderr.write(f"drill: {text}\n")
    sys.stderr.flush()


@contextmanager
def signals_raise() -> Iterator[None]:
    """Interrupted, for those that end a command."""
    before = {number: signal.signal(number, _raise) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def _end(process: "subprocess.Popen[bytes]", number: int) -> None:
    """The launcher gives its workers their grace; another signal is the end of that too."""
    say("ending the run; again to kill it")
    try:
        process.send_signal(number)
        process.wait()
    except Interrupted:
        process.kill()  # its shims end the workers
        process.wait()
