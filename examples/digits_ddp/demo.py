"""``make demo``: a real training job, one of its workers killed from outside, and a finished job.

Exits 0 only where exactly one restart happened, training resumed from a step above 0, and the model
is right on more than 95 % of digits that it has not seen.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 300.0  # seconds, for a slow machine's first import of torch


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def find_worker(run: Path, rank: int) -> int | None:
    """The pid of a rank's first worker, from the run's events."""
    for path in run.glob("events/*.ndjson"):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["kind"] == "worker.started" and event["rank"] == rank:
                return int(event["pid"])
    return None


def kill_in_second_epoch(runs: Path, job: subprocess.Popen[bytes]) -> None:
    """What a failing machine would do, done by this process, which the launcher knows nothing of."""
    deadline = time.monotonic() + PATIENCE
    while job.poll() is None and time.monotonic() < deadline:
        for run in runs.glob("digits-*"):
            log = run / "attempt-0" / "node0-rank0.log"
            if log.exists() and "epoch 2 of" in log.read_text() and (pid := find_worker(run, 1)):
                os.kill(pid, signal.SIGKILL)
                say(f"killed rank 1 (pid {pid}) with SIGKILL in the second epoch")
                return
        time.sleep(0.005)
    raise SystemExit("demo: FAILED: training did not reach its second epoch")


def check(runs: Path, output: Path, exit_code: int) -> list[str]:
    """What is wrong; nothing, if all is well."""
    (run,) = runs.glob("digits-*")
    result = json.loads((run / "result.json").read_text())
    trained = json.loads((output / "result.json").read_text()) if (output / "result.json").exists() else {}
    say(f"attempts {len(result['attempts'])}, restarts {result['restarts']}, exit code {exit_code}")
    say(f"resumed at step {trained.get('resumed_step')} of {trained.get('steps')}")
    say(f"accuracy {trained.get('accuracy', 0.0):.1%} on held-out digits")
    say(f"look around in {os.path.relpath(run)}: result.json, events/, attempt-0/, attempt-1/")
    problems = []
    if exit_code != 0:
        problems.append(f"the job ended with exit code {exit_code}")
    if result["restarts"] != 1:
        problems.append(f"{result['restarts']} restarts, 1 was expected")
    if not trained.get("resumed_step", 0) > 0:
        problems.append("training began anew instead of resuming")
    if not trained.get("accuracy", 0.0) > 0.95:
        problems.append("the model did not learn")
    return problems


def main() -> None:
    runs = Path("runs") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    output = Path(tempfile.mkdtemp(prefix="digits-"))
    command = ["launcher", "--nproc-per-node", "2", "--name", "digits", "--run-dir", str(runs)]
    command += [str(HERE / "train.py"), "--output-path", str(output)]
    say("$ " + " ".join(command).replace(str(HERE), os.path.relpath(HERE)))
    job = subprocess.Popen([str(Path(sys.executable).with_name("launcher")), *command[1:]])
    try:
        kill_in_second_epoch(runs, job)
        exit_code = job.wait(PATIENCE)
        problems = check(runs, output, exit_code)
    finally:
        if job.poll() is None:
            job.terminate()
            job.wait()
        shutil.rmtree(output)
    for problem in problems:
        say(f"FAILED: {problem}")
    if problems:
        raise SystemExit(1)
    say("a worker died, the job did not")


if __name__ == "__main__":
    main()
