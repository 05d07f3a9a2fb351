"""The last thing printed, at most 25 lines: what happened, why, what to do, where to look."""

import os
import re
import textwrap
from pathlib import Path

from ma_training.agent.result import Result
from ma_training.job import JobSpec, RunDirectory, format_duration

from .incident import Incident

LINES = 25
WIDTH = 100
QUOTED = 8  # lines of traceback or log
# Heads of tracebacks, and what faulthandler says besides the user's frames.
_IDLE = re.compile(
    r"Traceback \(most recent call last\)|(Current t|T)hread 0x|Extension modules: "
    r"|  File \".*/ma_training/agent/bootstrap\.py\""
)
_OWN_FRAME = re.compile(r'  File "(?!.*/(site-packages|dist-packages|lib/python3\.\d+)/|<frozen)')


def verdict(result: Result, run: RunDirectory, job: JobSpec, incident: Incident | None = None) -> str:
    took = format_duration(result.ended - result.started)
    restarts = f", {result.restarts} restart{'s' if result.restarts != 1 else ''}" if result.restarts else ""
    if result.outcome == "succeeded":
        return f"{result.job} finished in {took}{restarts}"
    lines = [f"{result.job} {result.outcome} after {took}{restarts} (exit code {int(result.exit_code)})"]
    if incident is not None and result.outcome == "failed":
        lines += _explain(incident, result.reason or "", job.cwd)
    elif result.outcome == "failed" and result.reason:
        lines += _field("what", result.reason, most=3)
    if result.checkpoint is not None and result.outcome != "succeeded":
        step, path = result.checkpoint
        text = f"step {step} is in {_relative(Path(path), job)}: the same command goes on from there"
        lines += _field("resume", text)
    if result.abandoned:
        lines += _field("careful", "processes of it could not be killed and are still on this node")
    lines += _field("look in", _relative(run.path, job))
    return "\n".join(lines[:LINES])


def _explain(incident: Incident, reason: str, cwd: str) -> list[str]:
    failure = incident.failure
    pid = f", pid {failure.pid}" if failure.pid else ""
    step = f" after {failure.steps} steps" if failure.steps and not failure.hang else ""
    lines = _field("what", f"rank {failure.rank} ({incident.node}{pid}) {failure.describe()}{step}", most=3)
    quoted = list(incident.traceback) or list(incident.stacks[1:]) or list(incident.log_tail)
    lines += [f"           | {line}" for line in _most_telling(quoted, cwd)]
    for text in incident.evidence[:3]:
        lines += _field("evidence", text, most=1)
    if incident.diagnosis is not None:
        lines += _field("cause", incident.diagnosis.cause)
        lines += _field("to do", incident.diagnosis.remedy)
    if incident.victims:
        ranks = _ranges(incident.victims)
        lines += _field(
            "besides", f"rank{'s' if len(incident.victims) > 1 else ''} {ranks} ended because of it"
        )
    lines += _field("restart", f"none: {reason}")
    if failure.logs:
        lines += _field("log", os.path.relpath(failure.logs[-1], cwd))
    return lines


def _most_telling(lines: list[str], cwd: str) -> list[str]:
    """The end of a traceback says most; its head, our own frames and marks (^^^^) say nothing."""
    told = [_short(line, cwd) for line in lines if set(line) - set(" ^~") and not _IDLE.match(line)]
    own = max((n for n, line in enumerate(told) if _OWN_FRAME.match(line)), default=0)
    if own < len(told) - QUOTED:  # the user's own last frame is far up, in a library's
        return [*told[own : own + 2], "  ...", *told[-QUOTED + 3 :]]
    return told[-QUOTED:]


def _short(line: str, cwd: str) -> str:
    """Files under the working directory are named as the user names them; a frame is not cut."""
    line = line.replace(f'File "{cwd}/', 'File "')
    return line if line.startswith('  File "') else line[:120]


def _field(name: str, text: str, most: int = 2) -> list[str]:
    wrapped = textwrap.wrap(text, WIDTH - 11, max_lines=most, placeholder=" …") or [""]
    return [f"  {name:<9}{wrapped[0]}", *(f"{'':11}{line}" for line in wrapped[1:])]


def _ranges(ranks: tuple[int, ...]) -> str:
    """``0-3, 5``."""
    parts: list[list[int]] = []
    for rank in ranks:
        if parts and rank == parts[-1][-1] + 1:
            parts[-1][1:] = [rank]
        else:
            parts.append([rank])
    return ", ".join("-".join(map(str, part)) for part in parts)


def _relative(path: Path, job: JobSpec) -> str:
    return os.path.relpath(path, job.cwd) if path.is_relative_to(job.cwd) else str(path)
