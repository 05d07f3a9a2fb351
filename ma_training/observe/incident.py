"""One failed attempt as structured data, from which the verdict is made."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from ma_training.agent.bootstrap import Phase
from ma_training.agent.result import AttemptRecord
from ma_training.diagnosis import (
    Diagnosis,
    Evidence,
    WorkerFailure,
    diagnose,
    is_consequence,
    kernel_lines,
    load_catalogue,
)
from ma_training.job import JobSpec, RunDirectory, describe_status, format_size

from .log_tail import clean, tails

VERSION = 1
TAIL = 20  # lines of the log
MATCHED = 100  # lines of it that the catalogue sees
_PHASES = {
    Phase.START: "while Python was starting",
    Phase.ATEXIT: "after the script, in its atexit handlers",
    Phase.TEARDOWN: "after the script and its atexit handlers",
}


@dataclass(frozen=True, slots=True)
class Incident:
    job: str
    attempt: int
    node: str
    time: float  # seconds since the epoch
    failure: WorkerFailure
    victims: tuple[int, ...]
    evidence: tuple[str, ...]
    traceback: tuple[str, ...]
    log_tail: tuple[str, ...]
    stacks: tuple[str, ...]  # of what hangs
    diagnosis: Diagnosis | None
    decision: str  # what was done about it

    def to_json(self) -> str:
        failure = self.failure
        record: dict[str, Any] = {
            "v": VERSION,
            "job": self.job,
            "attempt": self.attempt,
            "node": self.node,
            "time": self.time,
            "first_failure": {
                "rank": failure.rank,
                "pid": failure.pid,
                "status": failure.status,
                "exit_code": failure.exit_code,
                "what": failure.describe(),
                "steps": failure.steps,
                "oom": failure.oom,
                "exception": {name: failure.error.get(name) for name in ("type", "message", "file", "line")},
                "logs": list(failure.logs),
            },
            "victims": list(self.victims),
            "evidence": list(self.evidence),
            "traceback": list(self.traceback),
            "log_tail": list(self.log_tail),
            "stacks": list(self.stacks),
            "diagnosis": asdict(self.diagnosis) if self.diagnosis else None,
            "decision": self.decision,
        }
        return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def build_incident(job: JobSpec, run: RunDirectory, record: AttemptRecord, decision: str) -> Incident:
    """Reads the log's end and, where it may, the kernel's log. Call it off the agent's loop."""
    failure = record.failure
    assert failure is not None
    log = tails(failure.logs, MATCHED)
    own_exception = failure.error and failure.error.get("type") != "SystemExit"
    traceback = str(failure.error.get("traceback", "")).strip().split("\n") if own_exception else []
    evidence = Evidence(
        # One that we cut short in an exception would not have died of our signal.
        status=failure.status if failure.stopped_at is None else failure.exit_code,
        exception=str(failure.error.get("type", "")) if own_exception else "",
        message=str(failure.error.get("message", "")),
        traceback="\n".join(traceback),
        log="\n".join(log),
        oom=failure.oom,
        hang=failure.hang_kind,
    )
    return Incident(
        job=run.job_id,
        attempt=record.index,
        node=record.node or job.topology.node_name,
        time=time.time(),
        failure=failure,
        victims=record.victims,
        evidence=tuple(_evidence(failure, record.early)),
        traceback=tuple(clean(line) for line in traceback),
        log_tail=tuple(log[-TAIL:]),
        stacks=tuple(clean(line) for line in failure.explanation),
        diagnosis=diagnose(evidence, load_catalogue()),
        decision=decision,
    )


def _evidence(failure: WorkerFailure, early: tuple[int, ...]) -> list[str]:
    found = []
    if early and is_consequence(failure.error):
        ranks = ", ".join(map(str, early))
        found.append(f"rank {ranks} had ended before, with code 0: did it do fewer steps than the others?")
    raised = failure.error and failure.error.get("type") != "SystemExit"
    if raised and failure.status != 1 and failure.stopped_at is None:
        found.append(describe_status(failure.status))
    if failure.phase in _PHASES and failure.status < 0:
        found.append(f"it ended {_PHASES[failure.phase]}")
    if failure.oom:
        limit = f" (limit {format_size(failure.memory_limit)})" if failure.memory_limit else ""
        found.append(f"the kernel's count of out-of-memory kills rose{limit}")
    if failure.status < 0 and failure.pid:
        found += [f"kernel: {clean(line)}" for line in kernel_lines([failure.pid], failure.noticed - 60)[-2:]]
    return found
