"""All that a job uploads, in the order of its importance: checkpoints, logs, outputs."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ma_training.storage.filling import Filling
from ma_training.storage.sync import FOLDER, Rule, Troubles, Turn

from .checkpoint_upload import CheckpointUpload
from .gate import Gate
from .plan import TransferPlan
from .tree_upload import TreeUpload

LOGS = Rule(quiet=2.0, patience=5.0)


Left = tuple[str, str, str, Sequence[str]]  # directory, URL, commands, paths


class Upload(Protocol):
    """One place here, and where it goes."""

    directory: Path
    url: str
    lost: str

    @property
    def command(self) -> str: ...

    def round(self, final: bool = False, gate: Gate | None = None) -> str: ...

    def left(self) -> Sequence[str]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Logs:
    """Directories with a run's logs and events, by where they go under the log URL."""

    job: str
    directories: Mapping[str, str]


class Uploads:
    """``say`` gets words, ``emit`` events."""

    def __init__(
        self,
        plan: TransferPlan,
        logs: Logs,
        gate: Gate,
        say: Callable[[str], None],
        emit: Callable[..., None],
        environ: Mapping[str, str],
    ) -> None:
        self._say, self._emit, self._job = say, emit, logs.job
        self._troubles = Troubles()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._all: list[Upload] = []
        self._checkpoints: CheckpointUpload | None = None
        if plan.checkpoint_url:
            self._checkpoints = CheckpointUpload(
                Path(plan.checkpoints),
                plan.checkpoint_url,
                plan.identity,
                plan.workers,
                gate,
                lambda step, url: emit("checkpoint.uploaded", step=step, url=url),
                environ,
            )
            self._all.append(self._checkpoints)
        if plan.log_url:
            for below, folder in logs.directories.items():
                turn = Turn(Path(folder), lambda text: None, Path(folder) / FOLDER, uploads=True)
                url = "/".join(filter(None, (plan.log_url.rstrip("/"), logs.job, below)))
                self._all.append(TreeUpload(Path(folder), url, LOGS, plan.workers, gate, environ, turn=turn))
        rule = Rule(quiet=plan.every)
        for output in plan.outputs:
            inside = left_out(plan, output.directory)
            directory = Path(output.directory)
            self._all.append(TreeUpload(directory, output.url, rule, plan.workers, gate, environ, inside))
        inputs = [Path(one.directory) for one in plan.inputs]
        self._filling = Filling([*(one.directory for one in self._all), *inputs])

    def lose(self, url: str, why: str) -> None:
        """Another job writes there now."""
        for one in self._all:
            if one.url == url:
                one.lost = why
        self._say(why)

    def round(self, gate: Gate, final: bool = False) -> bool:
        """One after the other; one that fails does not keep the next from its turn. Says whether all went
        well. Raises InterruptedError where something is more urgent."""
        went_well = [self._one(one, gate, final) for one in self._all]
        for text in self._filling.look():
            self._say(text)
        return all(went_well)

    def _one(self, one: Upload, gate: Gate, final: bool) -> bool:
        with self._locks[one.url]:  # the last round waits only for the place where the one before it hangs
            why = one.round(final, gate)
        if one.lost:
            return False
        before = bool(self._troubles.of(one.url))
        if text := self._troubles.tell(one.url, why):
            self._say(text)
        if bool(why) != before:
            self._emit("upload.failing" if why else "upload.recovered", url=one.url, error=why or None)
        return not why

    def left(self) -> list[Left]:
        """Of each that has something left."""
        found = ((one, one.left()) for one in self._all)
        return [(str(one.directory), one.url, one.command, paths) for one, paths in found if paths]

    def withdraw_superseded(self) -> None:
        """Raises StorageError."""
        if self._checkpoints is not None:
            self._checkpoints.withdraw_superseded(self._job)

    def close(self) -> None:
        for one in self._all:
            one.close()


def left_out(plan: TransferPlan, directory: str) -> Callable[[str], bool]:
    """What of an output directory is not its business: checkpoints, which go whole or not at all."""
    checkpoints = Path(plan.checkpoints or "/nowhere")
    if not plan.checkpoint_url or not checkpoints.is_relative_to(directory):
        return lambda key: False
    inside = checkpoints.relative_to(directory).as_posix()
    return lambda key: inside == "." or key.startswith(f"{inside}/")
