"""The precheck of a job on this node: before it, beside it, and again when a worker has failed.

Light to import: what looks at the machine is imported when that is to be done.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from launchers.platforms.placement import Placement

from .precheck_mode import BEFORE, BESIDE, OFF, precheck_mode
from .settings import WORKER_MARKS, Settings

if TYPE_CHECKING:
    from ma_training.agent.agent import Agent
    from ma_training.events import EventLog
    from ma_training.precheck import Finding, Surroundings

PATIENCE = 60.0  # seconds in which names of nodes that are only starting may begin to resolve


class PrecheckFailed(Exception):
    """This node is not to run the job; the text names it and says why. Exit code 69."""

    def __init__(self, text: str, findings: "Sequence[Finding]" = ()) -> None:
        super().__init__(text)
        self.findings = findings


class JobPrecheck:
    def __init__(self, settings: Settings, placement: Placement) -> None:
        inside = any(os.environ.get(mark) for mark in WORKER_MARKS)
        self.mode = precheck_mode(settings["precheck"], placement.name, os.environ, inside)
        self._settings, self._placement = settings, placement
        self._findings: Sequence[Finding] = ()
        self._seconds = 0.0
        self._before_failure: Sequence[Finding] = ()
        if settings["precheck-limits"]:
            from .check_job import limits_of

            limits_of(settings)  # said now where it does not parse

    def before(self, say: Callable[[str], None]) -> None:
        """Looks at the node, where that is to be done first. Raises PrecheckFailed."""
        if self.mode == OFF:
            return
        self._check_isolation(say)
        if self.mode != BEFORE:
            return
        import time

        from ma_training.precheck import Verdict, choose, run_checks

        began = time.monotonic()
        where = self._surroundings(PATIENCE)
        self._findings = self._before_failure = run_checks(choose(), where)
        self._seconds = time.monotonic() - began
        bad = [found for found in self._findings if found.verdict is Verdict.FAIL]
        if bad:
            raise PrecheckFailed(self._isolated(where, bad), self._findings)
        warnings = [found for found in self._findings if found.verdict is Verdict.WARN]
        for found in warnings:
            say(f"precheck: {found.line()}\n    hint: {found.fix}")

    def lines(self) -> list[str]:
        """The platform's own, where it has been looked at."""
        if not self._findings:
            return []
        from ma_training.precheck import choose
        from ma_training.precheck.guide_lines import guide_lines

        return guide_lines(self._findings, [check.name for check in choose() if check.item])

    def emit(self, events: "EventLog") -> None:
        if self._findings:
            emit_findings(events, self._findings, self._seconds)

    def beside(self, agent: "Agent", events: "EventLog") -> None:
        """Looks at the node when the workers have been started, and only warns."""
        if self.mode == BESIDE:
            from .precheck_beside import Beside

            Beside(agent, events, self._job_words()).schedule()

    def after_failure(self, job_id: str, say: Callable[[str], None], events: "EventLog") -> str:
        """Looks at the hardware again, and isolates the node where it is at fault. May take seconds.

        Why the node is not to be used any more; '' where nothing is known against it.
        """
        if not self._has_hardware():
            return ""
        from ma_training.precheck import hardware, run_checks
        from ma_training.precheck.after_failure import Course, decide

        from .isolating import commands, isolate_here, until

        where = self._surroundings()
        decision = decide(run_checks(hardware(), where), True, self._before_failure)
        events.emit("hardware.checked", course=decision.course.value, codes=list(decision.codes))
        if decision.course is Course.ISOLATE:
            record, why = isolate_here(where.job, decision, job_id)
            events.emit("node.isolated", host=record.node, reason=record.reason, codes=list(record.codes))
            say(
                f"hardware fault on {record.node}: {record.reason}; new attempts keep away from it until "
                f"{until(record)}" + (f" ({why})" if why else "")
            )
            for command in commands(record, os.environ):
                say(f"    hint: {command}")
            return f"hardware fault on {record.node}: {record.reason}"
        return ""

    def _has_hardware(self) -> bool:
        if self.mode == OFF:
            return False
        from ma_training.devices import has_gpus, has_npus

        return has_gpus() or has_npus()

    def _check_isolation(self, say: Callable[[str], None]) -> None:
        """A record of an earlier job's keeps this one away, where it may end for it."""
        from pathlib import Path

        from ma_training.precheck.isolation import DIRECTORY

        if not Path(os.getcwd(), self._settings["run-dir"], DIRECTORY).exists():
            return
        from .check_job import job_of
        from .isolating import isolated_here, until

        job = job_of(self._settings, self._placement, os.environ)
        record, damage = isolated_here(job)
        if damage:
            say(f"{damage}; the job goes on")
        if record is None:
            return
        codes = f" [{', '.join(record.codes)}]" if record.codes else ""
        text = f"{record.node} is isolated until {until(record)}, by job {record.job}: {record.reason}{codes}"
        hint = "    hint: launcher check --release once it is mended; --precheck off runs all the same"
        if self.mode == BEFORE:
            raise PrecheckFailed(f"{text}\n{hint}")
        say(f"{text}\n{hint}")

    def _isolated(self, where: "Surroundings", bad: "Sequence[Finding]") -> str:
        """What is said of a node that has failed. Its hardware's faults keep the next job away too; of
        what else is wrong nothing is kept: the next precheck looks anew, and sees it mended."""
        from ma_training.precheck.after_failure import Course, Decision, decide

        from .isolating import commands, isolate_here, record_of

        lines = [f"precheck failed on {where.job.node}:"]
        for found in bad:
            lines += [f"    {found.line()}", f"    hint: {found.fix}"]
        decision = decide(bad, True)
        if decision.course is Course.ISOLATE:
            record, why = isolate_here(where.job, decision, self._placement.job_id or "")
            lines += [f"    {why}"] if why else []
        else:
            codes = tuple(code for found in bad for code in found.codes)
            record = record_of(where.job, Decision(Course.ISOLATE, bad[0].line(), codes), "")
        lines += [f"    hint: {command}" for command in commands(record, os.environ)]
        return "\n".join(lines)

    def _surroundings(self, patience: float = 0.0) -> "Surroundings":
        from ma_training.precheck import Surroundings

        from .check_job import job_of, limits_of

        return Surroundings(
            job_of(self._settings, self._placement, os.environ),
            limits_of(self._settings),
            patience=patience,
        )

    def _job_words(self) -> Callable[[], list[str]]:
        def words() -> list[str]:
            import json
            from dataclasses import asdict

            from .check_job import job_of

            job = asdict(job_of(self._settings, self._placement, os.environ))
            limits = self._settings["precheck-limits"] or ""
            return [json.dumps({**job, "run_base": str(job["run_base"])}), limits]

        return words


def emit_findings(events: "EventLog", findings: "Sequence[Finding]", seconds: float) -> None:
    from ma_training.precheck import worst

    for found in findings:
        if found.bad:
            events.emit(
                "precheck.finding",
                check=found.check,
                verdict=found.verdict.value,
                measured=found.measured,
                required=found.required,
                codes=list(found.codes),
            )
    events.emit("precheck.ended", verdict=worst(findings).value, seconds=round(seconds, 3))
