"""The agent's side of copying: starts the process that does it, and starts it again where it dies.

prepare ─▶ claim ─▶ (uploads go on by themselves) ─▶ finish ─▶ close

A copier that dies costs training nothing: another one goes on by the journal, and what cannot be uploaded at
the end is named, with the command that does it by hand.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .plan import TransferPlan

PROCESS = Path(__file__).with_name("process.py")
LAST_DEATHS = 3  # while what is left is uploaded: then it is given up
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before it is started again
MARGIN = 5.0  # seconds for the copier to say what is left
NAMED = 10  # paths


class TransferError(Exception):
    """``usage``: what was asked for is wrong; else storage could not be used. ``hint``: what to do."""

    def __init__(self, message: str, hint: str, usage: bool) -> None:
        super().__init__(message)
        self.hint, self.usage = hint, usage


class Transfers:
    """``say`` and ``emit`` are called by a thread. Times in seconds."""

    def __init__(
        self, plan: TransferPlan, say: Callable[[str], None], emit: Callable[..., object] | None = None
    ) -> None:
        self._plan, self._say, self.emit = plan, say, emit
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._order: dict[str, Any] = {}  # what it is doing, or is to do when it is started again
        self._done: set[str] = set()
        self._error: TransferError | None = None
        self._left: list[Sequence[Any]] | None = None
        self._deaths = self._last_deaths = 0  # the last: while it uploads what is left
        self._fault = ""
        self._closed = False

    def pids_of(self) -> list[int]:
        """Of the process that copies."""
        process = self._process
        return [process.pid] if process and process.returncode is None else []

    # --- before the workers ---

    def prepare(self) -> None:
        """Brings inputs, what earlier runs have put out, and the newest checkpoint. Raises TransferError."""
        self._start({"do": "prepare"})
        self._await("prepare")

    def claim(self, job: str, logs: Mapping[str, str]) -> None:
        """Takes the job's leases, and begins to upload. Raises TransferError where another job has one.

        ``logs``: directories, by where they go under the run's log URL."""
        order = {"do": "sync", "job": job, "logs": dict(logs)}
        if not self._plan.uploads:
            return self.close()
        self._send(order)
        self._await("sync")

    def _await(self, what: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._error or what in self._done)
            if self._error:
                raise self._error

    # --- after them ---

    def begin_flush(self, succeeded: bool, seconds: float | None) -> None:
        """``seconds``: None for as long as it takes."""
        self._send({"do": "flush", "succeeded": succeeded, "seconds": seconds})

    def wait(self, timeout: float) -> bool:
        """Whether the end has been reached."""
        with self._changed:
            return bool(self._changed.wait_for(self._is_over, timeout))

    def _is_over(self) -> bool:
        return self._left is not None or self._error is not None

    def left(self) -> list[str]:
        """What could not be uploaded, in words; empty when all is there."""
        if self._left is None:
            why = f": {self._error}" if self._error else ""
            commands = [f"launcher sync {output.directory} {output.url}" for output in self._plan.outputs]
            commands += [f"launcher sync {self._plan.checkpoints} {self._plan.checkpoint_url}"] * bool(
                self._plan.checkpoint_url
            )
            return ["\n    ".join([f"not all may have been uploaded{why}; by hand:", *commands])]
        return [_words(*one) for one in self._left]

    def close(self) -> None:
        """It ends at once, whatever it does."""
        with self._changed:
            self._closed = True
            process = self._process
        if process is None:
            return
        assert process.stdin is not None
        try:
            process.stdin.close()
        except OSError:
            pass  # it is gone
        try:
            process.wait(MARGIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # --- its process ---

    def _start(self, order: dict[str, Any]) -> None:
        self._order = order
        self._process = process = subprocess.Popen(
            [sys.executable, "-I", str(PROCESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C ends the workers, not what saves their results
        )
        self._write(process, {"path": sys.path, "plan": self._plan.to_record()} | order)
        threading.Thread(target=self._read, args=(process,), name="transfers", daemon=True).start()

    def _send(self, order: dict[str, Any]) -> None:
        with self._changed:
            self._order = {**self._order, **order}  # one that is started anew needs to know the job as well
            process = self._process
        if process is not None:
            self._write(process, order)

    def _write(self, process: "subprocess.Popen[str]", order: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except OSError:
            pass  # it has died: the next one gets the order

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                last = line.strip() or last
                continue
            self._take(record)
        process.wait()
        process.stdout.close()
        self._on_death(process, last or f"exit code {process.returncode}")

    def _take(self, record: Mapping[str, Any]) -> None:
        if "say" in record:
            self._say(str(record["say"]))
        elif "event" in record:
            if self.emit is not None:
                self.emit(str(record["event"]), **record["data"])
        else:
            with self._changed:
                self._note(record)
                self._changed.notify_all()

    def _note(self, record: Mapping[str, Any]) -> None:
        if "done" in record:
            self._done.add(str(record["done"]))
        elif "error" in record:
            error = TransferError(str(record["error"]), str(record["hint"]), record["kind"] == "usage")
            if "sync" in self._done and not error.usage:
                self._fault = str(error)  # of one that was started again: so is the next
                return
            self._error = error
            if "sync" in self._done:
                self._say(f"nothing more is uploaded: {error}")
        elif "left" in record:
            self._left = list(record["left"])

    def _on_death(self, process: "subprocess.Popen[str]", why: str) -> None:
        with self._changed:
            if self._closed or self._is_over() or process is not self._process:
                return
            if self._order["do"] == "prepare" or (self._order["do"] == "sync" and "sync" not in self._done):
                self._error = TransferError(
                    f"what copies files has died: {why}", "start the job again", False
                )
                self._changed.notify_all()
                return
            why, self._fault = self._fault or why, ""
            self._deaths += 1
            self._last_deaths += self._order["do"] == "flush"
            if self._last_deaths > LAST_DEATHS:
                self._error = TransferError(f"what uploads files has died again and again: {why}", "", False)
                self._changed.notify_all()
                return
            number = self._deaths
        self._say(f"what uploads files has died ({why}); it is started again, training goes on")
        self._pause(min(FIRST_PAUSE * 2 ** (number - 1), LONGEST_PAUSE))
        with self._changed:
            if not self._closed:
                self._restart()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _restart(self) -> None:
        order = self._order
        sync = {name: order[name] for name in ("job", "logs")} | {"do": "sync"}
        self._start(sync)
        self._order = order
        if order["do"] == "flush" and self._process is not None:
            self._write(self._process, order)


def _words(directory: str, url: str, command: str, paths: Sequence[str]) -> str:
    named = [f"    {path}" for path in paths[:NAMED]]
    more = [f"    and {len(paths) - NAMED} more"] if len(paths) > NAMED else []
    by_hand = [f"    by hand: {line}" for line in command.splitlines()]
    return "\n".join([f"NOT uploaded from {directory} to {url}:", *named, *more, *by_hand])
