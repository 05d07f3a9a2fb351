"""What is copied for a job, from its beginning to its end: in the terms of the command line."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ma_training.agent.agent import Agent
from ma_training.job import ExitCode, JobSpec, RunDirectory
from ma_training.transfer import TransferError, TransferPlan, Transfers

from .errors import NotReady, UsageError

if TYPE_CHECKING:
    from ma_training.coordination.node import Node

LAST_WORDS = 5.0  # seconds
LEAST = 5.0  # seconds for the last uploads where workers have used up the grace
MARGIN = 5.0  # seconds more until the copier is given up itself
SLICE = 0.2


class Copying:
    def __init__(self, job: JobSpec, plan: TransferPlan, say: Callable[[str], None]) -> None:
        self.plan, self._job, self._say = plan, job, say
        self.transfers = Transfers(plan, say)

    def prepare(self) -> None:
        """Raises UsageError and NotReady."""
        try:
            self.transfers.prepare()
        except TransferError as error:
            raise self._refused(error) from None
        except KeyboardInterrupt:
            raise NotReady("interrupted before the workers were started", 130) from None

    def claim(self, run: RunDirectory, node: "Node | None") -> None:
        """Raises UsageError where another job has one of the places, and NotReady."""
        logs = {"": str(run.path)}
        if self._job.log_dir is not None:
            logs["log"] = str(self._job.log_dir / run.job_id)
        elif self._job.log_names is not None and self._job.log_names.directory is not None:
            logs["log"] = str(self._job.log_names.directory)
        try:
            self.transfers.claim(run.job_id, logs)
        except TransferError as error:
            if node is not None:
                node.leave("its output is in use by another job", 0)
                node.close(LAST_WORDS)
            elif not any(run.path.glob("events/*")):
                run.discard()
            raise self._refused(error) from None

    def _refused(self, error: TransferError) -> Exception:
        if error.usage:
            return UsageError(str(error), error.hint)
        hint = f"\n    hint: {error.hint}" if error.hint else ""
        return NotReady(f"not started: {error}{hint}", ExitCode.PRECHECK_FAILED)

    def finish(self, agent: Agent) -> bool:
        """Uploads what is left; says what could not be, with the command for it. Whether all is there.

        After a signal within what is left of the grace; else for as long as there is hope."""
        if not self.plan.uploads:
            return True
        stopped, seconds = bool(agent.stopped_by), None
        if stopped:
            seconds = max(LEAST, self._job.timeouts.grace - (time.monotonic() - agent.stopped_at))
        self.transfers.begin_flush(agent.result.outcome == "succeeded", seconds)
        until = time.monotonic() + seconds + MARGIN if seconds else float("inf")
        if not self.transfers.wait(1.0):
            self._say("uploading what is left")
        while not self.transfers.wait(SLICE) and time.monotonic() < until:
            if not stopped and not agent.pause(SLICE):
                stopped, seconds = True, max(LEAST, self._job.timeouts.grace)
                self.transfers.begin_flush(agent.result.outcome == "succeeded", seconds)
                until = time.monotonic() + seconds + MARGIN
        left = self.transfers.left()
        for text in left:
            self._say(text)
        return not left

    def close(self) -> None:
        self.transfers.close()
        sys.stdout.flush()
