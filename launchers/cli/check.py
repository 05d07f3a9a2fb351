"""``launcher check``: what would end a job here, found before it has begun."""

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchers.platforms.environment import Environment
from launchers.platforms.placement import place
from ma_training.job import ExitCode
from ma_training.precheck import (
    BY_CODE,
    Finding,
    Surroundings,
    UnknownCheckError,
    Verdict,
    choose,
    run_checks,
    worst,
)

from .check_job import job_of, limits_of
from .check_text import ndjson, text
from .errors import UsageError, nearest
from .settings import resolve

USAGE = """\
usage: launcher check [--level quick|full] [--only NAMES] [--limit NAME=VALUE] [--storage DIR-OR-URL]
                      [--json] [--lang en|zh] [options of launcher run that say where]
       launcher check --rehearse CODE
       launcher check --list | --codes | --release

  --level     full: measures speed, imports torch, writes to buckets; of several nodes each is started
              with the same --nnodes, --node-rank and --master-addr as the job, and they are compared
  --only      names of checks or groups, separated by commas; may be repeated
  --limit     another threshold, as root=16GB; may be repeated (or LAUNCHER_PRECHECK_LIMITS)
  --storage   something that the job writes to; may be repeated
  --json      a line of JSON for each check
  --lang      language of the fault codes' words
  --rehearse  what is said of a node with this fault code: on fakes, nothing here is touched
  --list      all checks; --codes: all fault codes
  --release   this node is no longer kept away from, after a hardware fault of an earlier job

Exit code 69 where a check fails, 0 where none does.
"""


@dataclass(slots=True)
class _Words:
    """What is ours of the command line; ``rest`` goes to the options of run."""

    level: str = "quick"
    only: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    storage: list[str] = field(default_factory=list)
    json: bool = False
    language: str = "en"
    rehearse: str = ""
    action: str = ""
    rest: list[str] = field(default_factory=list)


def main(words: Sequence[str]) -> int:
    if set(words) & {"-h", "--help"}:
        sys.stdout.write(USAGE)
        return 0
    asked = _parse(words)
    if asked.action in ("list", "codes"):
        return _show(asked)
    if asked.rehearse:
        return _rehearse(asked)
    settings = resolve(asked.rest, os.environ, Path.cwd())
    if settings.script is not None:
        raise UsageError(
            f"launcher check: {settings.script!r} is not understood", "see launcher check --help"
        )
    environ = dict(os.environ)
    placement = place(settings, Environment(environ))
    job = job_of(settings, placement, environ, asked.storage)
    if asked.action == "release":
        from .isolating import release_here

        return release_here(job)
    where = Surroundings(job, limits_of(settings, asked.limits), environ)
    findings = _run(asked, where)
    if asked.level == "full" and job.nnodes > 1:
        from .check_nodes import with_others

        findings += with_others(settings, placement, where, findings)
    return _say(findings, asked, job.node)


def _run(asked: _Words, where: Surroundings) -> list[Finding]:
    try:
        checks = choose(asked.only, asked.level == "full")
    except UnknownCheckError as error:
        hint = f"did you mean {error.nearest}?" if error.nearest else "launcher check --list has them all"
        raise UsageError(str(error), hint) from None
    return run_checks(checks, where)


def _say(findings: Sequence[Finding], asked: _Words, node: str) -> int:
    sys.stdout.write(ndjson(findings, node) if asked.json else text(findings, asked.language))
    return ExitCode.PRECHECK_FAILED if worst(findings) is Verdict.FAIL else ExitCode.OK


def _parse(words: Sequence[str]) -> _Words:
    asked, left = _Words(), list(words)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if name in ("--json", "--list", "--codes", "--release"):
            if equals:
                raise UsageError(f"{name} takes no value, but was given {value!r}")
            if name == "--json":
                asked.json = True
            else:
                asked.action = name[2:]
        elif name in _TAKING:
            if not equals and not left:
                raise UsageError(f"{name} needs a value", "see launcher check --help")
            _TAKING[name](asked, value if equals else left.pop(0))
        else:
            asked.rest.append(name + equals + value)
            if not name.startswith("-"):
                asked.rest += left
                break
    return asked


def _level(asked: _Words, value: str) -> None:
    asked.level = _one_of("--level", value, ("quick", "full"))


def _language(asked: _Words, value: str) -> None:
    asked.language = _one_of("--lang", value, ("en", "zh"))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        meant = nearest(value, known)
        raise UsageError(
            f"{name} {value}: unknown", f"did you mean {meant}?" if meant else f"write {' or '.join(known)}"
        )
    return value


def _rehearsed(asked: _Words, value: str) -> None:
    code = value.upper()
    if code not in BY_CODE:
        meant = nearest(code, tuple(BY_CODE))
        raise UsageError(
            f"--rehearse {value}: there is no such fault code",
            f"did you mean {meant}? launcher check --codes has them all",
        )
    if BY_CODE[code].unknown:
        raise UsageError(f"--rehearse {code}: no node can know it", BY_CODE[code].unknown)
    asked.rehearse = code


_TAKING = {
    "--level": _level,
    "--lang": _language,
    "--only": lambda asked, value: asked.only.extend(part for part in value.split(",") if part.strip()),
    "--limit": lambda asked, value: asked.limits.append(value),
    "--storage": lambda asked, value: asked.storage.append(value),
    "--rehearse": _rehearsed,
}


def _rehearse(asked: _Words) -> int:
    from ma_training.precheck import ClockState, Disk, Job
    from ma_training.precheck.machine import disk_of
    from ma_training.testing import rehearse

    with tempfile.TemporaryDirectory(prefix="rehearsal-") as directory:
        node = rehearse(asked.rehearse, Path(directory))

        def disk(path: Path) -> Disk:
            found = disk_of(path)
            return Disk(found.free, found.total, found.free_inodes, found.inodes, path in node.read_only)

        where = Surroundings(
            Job(node="rehearsal", run_base=Path(directory), cards=node.cards),
            environ=node.environ,
            root=node.root,
            disk=disk,
            clock=lambda: ClockState(node.clock_synchronised),
        )
        findings = _run(asked, where)
    sys.stderr.write(
        f"launcher: a rehearsal of {asked.rehearse}: devices and tools are fakes, nothing of this is true here\n"
    )
    return _say(findings, asked, "rehearsal")


def _show(asked: _Words) -> int:
    if asked.action == "codes":
        for fault in BY_CODE.values():
            words = fault.zh if asked.language == "zh" else fault.en
            found = f"found by {fault.check}" if fault.check else f"not found by a node: {fault.unknown}"
            sys.stdout.write(f"{fault.code}  {fault.severity.value:<6} {fault.kind}: {words}\n")
            sys.stdout.write(f"{'':9}{found}; {fault.action}\n")
        return 0
    for check in choose(full=True):
        level = "full " if check.full else "quick"
        sys.stdout.write(f"{check.name:<18} {check.group:<11} {level}  {_about(check.name)}\n")
    return 0


def _about(name: str) -> str:
    """The first line of the check's own file."""
    import inspect
    from importlib import import_module

    from ma_training.precheck import NAMES

    module = import_module(f"ma_training.precheck.checks.{NAMES[name]}")
    return (inspect.getdoc(module) or "").splitlines()[0]
