"""``launcher dump``: what each worker of a running job is doing, now."""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ma_training.agent.looking import Looked, look
from ma_training.agent.running import RunningWorker, workers_of
from ma_training.agent.telemetry import TelemetryPage
from ma_training.watchdog.culprit import Explanation
from ma_training.watchdog.report import as_record, as_text

from .dump_target import Target, find_target
from .errors import UsageError

TIMEOUT = 4.0  # seconds for stacks; with --native, symbols of large libraries are read
NATIVE_TIMEOUT = 30.0
USAGE = """\
usage: launcher dump [RUN] [--json] [--native] [--run-dir DIR]

RUN is a run's directory, its name in DIR, or the process id of a launcher or a worker; without
it, the newest run of DIR that is running here. Takes the stacks of its workers on this machine,
which go on meanwhile. They are kept in the run's directory, too.

  --json          one object, with every thread
  --native        frames of C and C++ as well (py-spy); each worker is paused for some seconds
  --run-dir DIR   where runs are (default: runs)
"""


def main(words: Sequence[str]) -> int:
    if set(words) & {"-h", "--help"}:
        sys.stdout.write(USAGE)
        return 0
    names, flags, base = _parse(words)
    target = find_target(names[0] if names else "", base)
    try:
        workers = workers_of(target.pid)
        explanation = _look(workers, "--native" in flags)
    except PermissionError:
        raise UsageError(
            f"the processes of {target.name} may not be looked at", "run it as the user who started the job"
        ) from None
    if not workers:
        sys.stderr.write(f"launcher: {target.name} runs, but has no worker now: it is between two attempts\n")
        return 1
    record = as_record(explanation) | {
        "job": workers[0].job,
        "time": time.time(),
        "host": os.uname().nodename,
    }
    text = json.dumps(record, ensure_ascii=False) + "\n"
    sys.stdout.write(text if "--json" in flags else as_text(explanation))
    sys.stdout.flush()
    _keep(target, text)
    if target.elsewhere:
        sys.stderr.write(f"launcher: the job also runs on {', '.join(target.elsewhere)}: run it there too\n")
    return 0


def _parse(words: Sequence[str]) -> tuple[list[str], set[str], Path]:
    names: list[str] = []
    flags: set[str] = set()
    base, rest = Path("runs"), iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name == "--run-dir":
            base = Path(value if equals else next(rest, ""))
        elif word in ("--json", "--native"):
            flags.add(word)
        elif word.startswith("-"):
            raise UsageError(f"launcher dump: unknown option {word}", "see launcher dump --help")
        else:
            names.append(word)
    if len(names) > 1:
        raise UsageError(f"launcher dump takes one run, not {len(names)}", "see launcher dump --help")
    return names, flags, base


def _look(workers: Sequence[RunningWorker], native: bool) -> Explanation:
    with ExitStack() as pages:
        looked = []
        for worker in workers:
            try:
                page = TelemetryPage.of(worker.pid)
            except FileNotFoundError:  # it has just ended
                continue
            if page:
                pages.callback(page.close)
            looked.append(Looked(worker.rank, worker.pid, page))
        return look(looked, NATIVE_TIMEOUT if native else TIMEOUT, native)


def _keep(target: Target, text: str) -> None:
    if target.run is None:
        return
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.uname().nodename}-{os.getpid()}.json"
    path = target.run / "dumps" / name
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError as error:
        sys.stderr.write(f"launcher: cannot write {path}: {error.strerror}\n")
    else:
        sys.stderr.write(f"launcher: all threads are in {path}\n")
