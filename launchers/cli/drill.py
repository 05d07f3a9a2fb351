"""``launcher drill``: proves before the long run that a script resumes bit for bit.

It is run straight to step N, then again with a SIGKILL after step K, from which it resumes. What every
rank has at step N, each array and number of its state, must be the same. Where it is not, a second
straight run tells a script that is not deterministic from one that resumes wrongly.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .drill_digests import compare
from .drill_options import STEPS, Drill, read
from .drill_run import ENDING, Interrupted, Run, say, signals_raise
from .drill_verdict import Resumed, Verdict
from .settings import HelpAsked

USAGE = f"""\
usage: launcher drill [options] train.py [arguments of the script]

Runs the script to step N, runs it again with a kill after step K from which it resumes, and
compares every array and number of its state on all ranks. A step is a state.commit().

  --steps N        how far it is run (default: {STEPS})
  --kill-at K      after which step a worker gets SIGKILL (default: half of N)
  --kill-rank R    whose worker (default: 0)
  --json           the verdict as a line of JSON
  --keep           keep the logs and digests of the runs

All options of the launcher are taken too, but the runs have directories and an identity of their own:
no snapshot, checkpoint or log of the real job is read or written. What the script itself writes, it writes.

Exit code: 0 identical, 1 anything else, 64 bad input, 128+n ended by signal n.
"""
TAIL = 12  # lines of a log


def main(words: Sequence[str]) -> int:
    try:
        drill = read(words, os.environ, Path.cwd())
    except HelpAsked:
        sys.stdout.write(USAGE)
        return 0
    with signals_raise():
        try:
            with _workplace(drill.keep) as root:
                verdict = _drill(drill, root)
        except Interrupted as interrupted:
            say(f"ended by {signal.Signals(interrupted.number).name}")
            return 128 + interrupted.number
    verdict = replace(verdict, kept=str(root) if drill.keep else "")
    sys.stdout.write(verdict.json() if drill.as_json else verdict.text())
    return verdict.exit_code


@contextmanager
def _workplace(keep: bool) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="launcher-drill-"))  # 0700
    try:
        yield root
    finally:
        for number in ENDING:  # it is over in a moment anyway
            signal.signal(number, signal.SIG_IGN)
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _drill(drill: Drill, root: Path) -> Verdict:
    straight = Run(drill, root, "straight", kill=False)
    say(f"{drill.steps} steps straight")
    straight.execute()
    if failed := _failed(straight):
        return failed
    resumed = Run(drill, root, "resumed", kill=True)
    say(f"{drill.steps} steps, rank {drill.kill_rank} killed after step {drill.kill_at}")
    resumed.execute()
    if failed := _failed(resumed):
        return failed
    return _compared(straight, resumed, root)


def _compared(straight: Run, resumed: Run, root: Path) -> Verdict:
    drill = straight.drill
    comparison = compare(straight.ranks(), resumed.ranks())
    went = _went(resumed)
    verdict = replace(_verdict(drill), comparison=comparison, resumed=went)
    if went is None:
        return replace(verdict, outcome="not resumed", comparison=None, advice=[NOT_RESTORED])
    if not comparison.differences:
        return verdict
    again = Run(drill, root, "again", kill=False)
    say("they differ; straight once more, to see whether that differs too")
    again.execute()
    if failed := _failed(again):
        return failed
    unsteady = compare(straight.ranks(), again.ranks())
    if unsteady.differences:
        return replace(verdict, outcome="not deterministic", comparison=unsteady)
    return replace(verdict, outcome="different")


NOT_RESTORED = "call state.restore() once, after the model and optimizer are made and before the first step"


def _verdict(drill: Drill) -> Verdict:
    return Verdict("identical", drill.name, drill.steps, drill.kill_at, drill.kill_rank)


def _went(resumed: Run) -> Resumed | None:
    """From where, as all ranks tell; None where one began anew."""
    told = [record["restored"] for record in resumed.ranks().values()]
    if not all(each and each["step"] for each in told):
        return None
    deaths = [event.t_wall for event in resumed.events("worker.failed") if event.attempt == 0]
    last = max(each["at"] for each in told)
    return Resumed(
        min(each["step"] for each in told),
        told[0]["where"],
        max(each["seconds"] for each in told),
        last - min(deaths) if deaths else None,
    )


# --- what keeps the runs from being compared ---


def _failed(run: Run) -> Verdict | None:
    drill = run.drill
    verdict = replace(_verdict(drill), outcome="failed")
    result = run.result()
    which = "with the kill" if run.kill else "straight"
    if result is None:
        return replace(verdict, reason="the launcher did not start it", log=run.last_words(TAIL))
    failure = result["attempts"][-1]["failure"] if result["attempts"] else None
    if result["outcome"] != "succeeded" and failure is not None:
        reason = f"{drill.name}, run {which}: rank {failure['rank']} {failure['cause']}"
        return replace(verdict, reason=reason, log=run.tail(failure["rank"], TAIL))
    if result["outcome"] != "succeeded":
        return replace(verdict, reason=f"the run {which} was {result['outcome']}", log=run.last_words(TAIL))
    if missing := sorted(set(range(drill.world_size)) - run.ranks().keys()):
        return _ended_early(run, verdict, missing[0])
    if run.kill and not result["restarts"]:
        return replace(
            verdict, reason=f"rank {drill.kill_rank} was not killed: it made no step {drill.kill_at}"
        )
    return None


def _ended_early(run: Run, verdict: Verdict, rank: int) -> Verdict:
    name, step = run.drill.name, run.commits(rank)
    log = run.tail(rank, TAIL)
    if step is None:
        advice = "the loop of a script that can resume ends each step with state.commit() (docs/drill.md)"
        return replace(
            verdict, reason=f"{name} ended without one state.commit() (rank {rank})", log=log, advice=[advice]
        )
    reason = f"{name} ended after step {step}, before step {run.drill.steps} (rank {rank})"
    return replace(verdict, reason=reason, log=log, advice=[f"give it more to do, or --steps {step}"])
