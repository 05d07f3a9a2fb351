"""What is done about what the watchdog finds: said, recorded, and as --on-hang has it, ended."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ma_training.diagnosis import WorkerFailure
from ma_training.events import EventLog
from ma_training.job import ExitCode
from ma_training.watchdog.findings import Cleared, Hang, Straggler, Suspect

from .watching import Found

if TYPE_CHECKING:
    from ma_training.watchdog.samples import Sample

STANDS_EVERY = 5.0  # seconds between two words to the leader: it may be another one by then
QUOTED = 12  # frames of a stack


class HangResponse:
    """Of one attempt. ``fail`` ends it, for the failures given; ``stands`` tells other nodes that all workers
    here wait for theirs, or do no more; ``later`` calls back after some seconds."""

    def __init__(
        self,
        attempt: int,
        on_hang: str,
        stands: Callable[[WorkerFailure | None], None] | None,
        events: EventLog,
        say: Callable[[str], None],
        fail: Callable[[Sequence[WorkerFailure]], None],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._attempt, self._on_hang, self._stands = attempt, on_hang, stands
        self._standing: WorkerFailure | None = None
        self._events, self._say, self._fail, self._later = events, say, fail, later
        self._slow: set[int] = set()  # stragglers that have been named

    def on_found(self, found: Found) -> None:
        finding = found.finding
        if isinstance(finding, Hang):
            self._on_hang_found(finding, found)
        elif isinstance(finding, Suspect):
            self._emit("watchdog.suspect", ranks=list(finding.ranks), why=finding.why)
        elif isinstance(finding, Cleared):
            self._emit("watchdog.cleared", ranks=list(finding.ranks), idle=round(finding.idle, 3))
            self._goes_on()
        elif isinstance(finding, Straggler):
            self._on_straggler(finding)

    def _on_straggler(self, finding: Straggler) -> None:
        self._emit(
            "watchdog.straggler", finding.rank, factor=round(finding.factor, 2), phase=finding.phase,
            over=finding.over,
        )  # fmt: skip
        if not finding.over and finding.rank not in self._slow:
            self._slow.add(finding.rank)
            self._say(
                f"rank {finding.rank} is slow: {finding.factor:.1f} times the median of the others "
                f"in {finding.phase}; they wait for it"
            )

    def _on_hang_found(self, hang: Hang, found: Found) -> None:
        failures = failures_of(hang, found, self._on_hang == "stop")
        for failure in failures:
            self._emit(
                "worker.hung",
                failure.rank,
                phase=hang.phase,
                since=round(hang.since, 3),
                explanation=failure.note.removeprefix("hangs: "),
                evidence=list(hang.evidence),
                waiting=failure.hang == "waiting",
            )
        if self._on_hang in ("warn", "dump"):
            self._warn(failures[0], found)
        elif failures[0].hang == "waiting" and self._stands is not None:
            self._standing = failures[0]
            self._say_standing()
        else:
            self._fail(failures)

    def _say_standing(self) -> None:
        if self._standing is not None and self._stands is not None:
            self._stands(self._standing)
            self._later(STANDS_EVERY, self._say_standing)

    def _goes_on(self) -> None:
        if self._standing is not None and self._stands is not None:
            self._standing = None
            self._stands(None)

    def _warn(self, failure: WorkerFailure, found: Found) -> None:
        self._say(f"rank {failure.rank} {failure.describe()}; nothing is done about it (--on-hang)")
        if self._on_hang == "dump":
            for line in (line for sample in _samples(found) for line in quote(sample)):
                self._say(line)

    def _emit(self, kind: str, rank: int | None = None, **data: object) -> None:
        self._events.emit(kind, attempt=self._attempt, rank=rank, **data)


def failures_of(hang: Hang, found: Found, final: bool) -> list[WorkerFailure]:
    """Of the culprits; where all ranks here only wait, of the first of them."""
    explanation = found.explanation
    assert explanation is not None
    culprits = explanation.culprits or hang.culprits
    sentence = explanation.sentence or "; ".join(hang.evidence)
    stuck = bool(culprits) and not explanation.waiting_only
    samples = {sample.rank: sample for sample in _samples(found)}
    return [
        WorkerFailure(
            rank,
            ExitCode.HANG,
            min(hang.since, time.monotonic()),
            phase=None,
            pid=samples[rank].pid if rank in samples else 0,
            note=f"hangs: {sentence}",
            hang="stuck" if stuck else "waiting",
            hang_kind=explanation.kind,
            final=final,
            explanation=tuple(quote(samples[rank])) if rank in samples else (),
        )
        for rank in (culprits or hang.ranks[:1])
    ]


def _samples(found: Found) -> "list[Sample]":
    groups = found.explanation.groups if found.explanation else ()
    return [sample for group in groups for sample in group.samples]


def quote(sample: "Sample") -> list[str]:
    """A rank's stack as Python writes one: the innermost frame last."""
    frames = sample.main.frames[:QUOTED][::-1]
    head = f"rank {sample.rank}, pid {sample.pid}" + (f", {sample.problem}" if sample.problem else "")
    return [head, *(f'  File "{frame.file}", line {frame.line}, in {frame.function}' for frame in frames)]
