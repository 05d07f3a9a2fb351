"""How a job ended: the content of ``result.json``."""

import json
from dataclasses import dataclass, field
from typing import Any

from ma_training.diagnosis import WorkerFailure
from ma_training.job import ExitCode

from .attempt_run import AttemptOutcome

VERSION = 1


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    index: int
    seconds: float
    steps: int | None
    failure: WorkerFailure | None
    victims: tuple[int, ...]  # ranks that failed because of it, or were stopped
    abandoned: tuple[int, ...]
    early: tuple[int, ...] = ()  # ranks that had ended well before anything failed
    node: str = ""  # where the failure was, if not here

    @classmethod
    def of(cls, index: int, outcome: AttemptOutcome) -> "AttemptRecord":
        first = outcome.first_failure
        victims = sorted({failure.rank for failure in outcome.failures if failure is not first})
        return cls(
            index,
            outcome.seconds,
            outcome.steps,
            first,
            tuple(victims),
            tuple(outcome.abandoned),
            tuple(sorted(outcome.early)),
        )

    def to_json(self) -> dict[str, Any]:
        first = self.failure
        return {
            "index": self.index,
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "victims": list(self.victims),
            "failure": first
            and {
                "rank": first.rank,
                "status": first.status,
                "exit_code": first.exit_code,
                "cause": first.describe(),
                "steps": first.steps,
                "oom": first.oom,
                "error": dict(first.error),
            },
        }


@dataclass(slots=True)
class Result:
    job: str
    name: str
    started: float  # seconds since the epoch
    ended: float = 0.0
    outcome: str = "running"  # succeeded, failed, stopped
    exit_code: int = ExitCode.INTERNAL
    reason: str | None = None  # why no further attempt was made
    restarts: int = 0  # of the budget; attempts lost to the launcher's own bad luck do not count
    attempts: list[AttemptRecord] = field(default_factory=list)
    checkpoint: tuple[int, str] | None = None  # step and path of the newest that this run has left
    ours: bool = False  # the exit code is the launcher's own: no worker failed
    root: AttemptRecord | None = None  # with the failure that ended the job, where that was another node's

    def add(self, record: AttemptRecord) -> None:
        self.attempts.append(record)

    @property
    def abandoned(self) -> bool:
        return any(record.abandoned for record in self.attempts)

    def succeed(self) -> None:
        self.outcome, self.exit_code = "succeeded", ExitCode.OK

    def fail(self, reason: str) -> None:
        failure = self.attempts[-1].failure
        assert failure is not None
        self.outcome, self.exit_code, self.reason = "failed", failure.exit_code, reason

    def lose_node(self, reason: str) -> None:
        """This node is at fault, not the job: it is to be run elsewhere."""
        self.outcome, self.exit_code, self.reason = "failed", ExitCode.PRECHECK_FAILED, reason
        self.ours = True

    def stop(self, signal: int) -> None:
        self.outcome, self.exit_code = "stopped", 128 + signal

    def to_json(self) -> str:
        record = {
            "v": VERSION,
            "job": self.job,
            "name": self.name,
            "outcome": self.outcome,
            "exit_code": int(self.exit_code),
            "reason": self.reason,
            "restarts": self.restarts,
            "started": self.started,
            "ended": self.ended,
            "checkpoint": self.checkpoint and {"step": self.checkpoint[0], "path": self.checkpoint[1]},
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }
        return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
