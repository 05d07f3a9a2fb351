"""The process that copies for a job: apart from training, and from the agent.

Started by its path. Lines of JSON on stdin say what to do, lines of JSON on stdout what came of it:

    {"path", "plan", "do": "prepare"}           inputs, outputs of earlier runs, the newest checkpoint
      or "do": "sync", "job", "logs"            leases taken, then uploads every few seconds
    {"do": "sync", "job", "logs"}               after prepare
    {"do": "flush", "succeeded", "seconds"}     all that is left, once more, within so many seconds
    ◀ {"say"}, {"event", "data"}, {"done"}, {"error", "hint", "kind"}, {"left": [...]}

At the end of stdin the agent is gone, and so is this process: what was half uploaded is not visible, and the
next run goes on. Threads that hang in a file system do not keep it.
"""

import json
import sys

if __name__ == "__main__":
    order_line = sys.stdin.readline()
    sys.path[:] = json.loads(order_line)["path"]  # the launcher's own: nothing of the user's directory

import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ma_training.checkpoint import CheckpointError
from ma_training.storage import BadKey, BadUrl, NoCredentials, NotFound, StorageError
from ma_training.storage.sync import FOLDER, Claim, Held, Holder, Turn
from ma_training.transfer.fetching import fetch_newest
from ma_training.transfer.gate import Gate
from ma_training.transfer.inputs import bring_input, bring_output
from ma_training.transfer.leases import Leases
from ma_training.transfer.plan import TransferPlan
from ma_training.transfer.telling import Telling
from ma_training.transfer.uploads import Left, Logs, Uploads, left_out

USAGE = (BadUrl, BadKey, Held, NoCredentials, NotFound)  # wrong input, or to be decided by people
MOST_WAIT = 1.0  # seconds that the last uploads wait for a round that goes on
SPARING = 10.0  # seconds between rounds for each second of a core that one takes
FIRST_PAUSE, PAUSES = 1.0, 4  # of the last uploads, in seconds; each is twice the one before


class Process:
    """``tell`` writes a line to the agent."""

    def __init__(self, plan: TransferPlan, tell: Callable[..., None]) -> None:
        self._plan, self._tell = plan, tell
        self._orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._gate = Gate()
        self._ending = threading.Event()
        self._rounds = _thread(self._go_round)
        self._uploads: Uploads | None = None
        self._leases: Leases | None = None
        self._left: list[Left] = []

    def give(self, order: dict[str, Any]) -> None:
        """From any thread."""
        self._orders.put(order)
        if order["do"] == "flush":
            self._ending.set()
            self._gate.close()

    def run(self) -> None:
        while True:
            order = self._orders.get()
            if order["do"] == "prepare":
                self._prepare()
                self._tell(done="prepare")
            elif order["do"] == "sync":
                self._begin(order)
                self._tell(done="sync")
                self._rounds.start()
            else:
                return self._flush(order)

    def _go_round(self) -> None:
        """Until the end: what has changed is uploaded."""
        assert self._uploads is not None
        pause = self._plan.every
        while not self._ending.wait(pause):
            began = time.process_time()
            try:
                self._uploads.round(self._gate)
            except InterruptedError:
                return  # the last uploads go first
            # Looking at 100,000 files takes over a second: training has the cores.
            pause = max(self._plan.every, (time.process_time() - began) * SPARING)

    # --- before the workers ---

    def _prepare(self) -> None:
        plan = self._plan
        if not plan.joins:
            self._leases_of("").check()
        for output in plan.outputs:
            Path(output.directory).mkdir(parents=True, exist_ok=True)
            with self._telling(f"bringing {output.url}", Path(output.directory)) as (turn, telling):
                left = left_out(plan, output.directory)
                bring_output(output, plan.workers, self._say, telling, turn, left)
        if plan.checkpoint_url:
            self._fetch()
        for wanted in plan.inputs:
            Path(wanted.directory).mkdir(parents=True, exist_ok=True)
            with self._telling(f"bringing {wanted.url}", Path(wanted.directory)) as (turn, telling):
                bring_input(wanted, plan.workers, self._say, telling, turn)

    def _fetch(self) -> None:
        plan, directory = self._plan, Path(self._plan.checkpoints)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._telling("fetching a checkpoint", directory, directory / FOLDER) as (turn, telling):
            if turn.wait():
                with turn:
                    url, identity = plan.checkpoint_url, plan.identity
                    fetch_newest(directory, url, identity, plan.workers, self._say, telling)

    def _telling(self, what: str, directory: Path, folder: Path | None = None) -> Telling:
        return Telling(what, Turn(directory, self._say, folder), self._say)

    # --- beside the workers ---

    def _begin(self, order: dict[str, Any]) -> None:
        logs = Logs(order["job"], order["logs"])
        self._uploads = Uploads(self._plan, logs, self._gate, self._say, self._emit, os.environ)
        self._leases = self._leases_of(order["job"])
        self._leases.take()

    def _leases_of(self, job: str) -> Leases:
        claim = Claim(job, self._plan.name, self._plan.unique, Holder.of(os.getppid()))
        return Leases(self._plan.leased, claim, self._lose, os.environ)

    def _lose(self, url: str, why: str) -> None:
        if self._uploads is not None:
            self._uploads.lose(url, why)

    # --- after them ---

    def _flush(self, order: dict[str, Any]) -> None:
        assert self._uploads is not None
        self._rounds.join(MOST_WAIT)  # longer where a server does not answer: then beside it
        worker = _thread(lambda: self._upload_last(order["succeeded"]))
        worker.start()
        self._wait(worker, order["seconds"])
        self._tell(left=self._uploads.left() if worker.is_alive() else self._left)

    def _wait(self, worker: threading.Thread, seconds: float | None) -> None:
        """``seconds`` may become fewer meanwhile: a signal has come."""
        until = _until(seconds)
        while worker.is_alive() and time.monotonic() < until:
            try:
                until = min(until, _until(self._orders.get(timeout=0.1)["seconds"]))
            except queue.Empty:
                continue

    def _upload_last(self, succeeded: bool) -> None:
        """What is told to be left ends the process, so all else is done before."""
        assert self._uploads is not None
        for number in range(PAUSES):
            well = self._uploads.round(Gate(), final=True)
            self._left = self._uploads.left()
            if well and not self._left:
                break
            time.sleep(FIRST_PAUSE * 2**number)
        if succeeded:
            try:
                self._uploads.withdraw_superseded()
            except (StorageError, CheckpointError) as error:
                self._say(f"a checkpoint that is superseded stays in storage: {error}")
        self._uploads.close()
        if self._leases is not None:
            self._leases.close()

    # ---

    def _say(self, text: str) -> None:
        self._tell(say=text)

    def _emit(self, kind: str, **data: Any) -> None:
        self._tell(event=kind, data=data)


def _thread(target: Callable[[], None]) -> threading.Thread:
    """One whose defect ends the process, so that the agent hears of it and starts another."""

    def run() -> None:
        try:
            target()
        except BaseException:  # noqa: BLE001  read by the agent
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    return threading.Thread(target=run, daemon=True)


def _until(seconds: float | None) -> float:
    return float("inf") if seconds is None else time.monotonic() + seconds


def main(first: dict[str, Any]) -> None:
    lock = threading.Lock()

    def tell(**record: Any) -> None:
        with lock:
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()

    process = Process(TransferPlan.from_record(first["plan"]), tell)
    process.give(first)
    threading.Thread(target=_listen, args=(process,), daemon=True).start()
    try:
        process.run()
    except (StorageError, CheckpointError) as error:
        hint = getattr(error, "hint", "")
        message = str(error).partition("\n    hint: ")[0]
        tell(error=message, hint=hint, kind="usage" if isinstance(error, USAGE) else "storage")
    except BrokenPipeError:
        pass  # the agent is gone
    except OSError as error:
        tell(error=f"cannot copy: {error}", hint="", kind="storage")
    _end()


def _listen(process: Process) -> None:
    for line in sys.stdin:
        process.give(json.loads(line))
    _end()


def _end() -> NoReturn:
    """Whatever threads are doing: nothing half-written is visible."""
    os._exit(0)


if __name__ == "__main__":
    os.nice(5)  # the workers come first
    try:
        main(json.loads(order_line))
    except BaseException:  # noqa: BLE001  told to the agent, which reads stderr as well
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
