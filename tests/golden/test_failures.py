"""Forty ways to fail: the right rank, the right cause, and a verdict as a user would want to read it.

Each script in failures/ begins with how it is run and what is to be found; the verdict stands beside it
in a file of the same name. `GOLDEN=write make unit` writes those anew: read the difference.
"""

import json
import os
import re
import sysconfig
from pathlib import Path

import pytest

from tests.support import Job, Launcher

HERE = Path(__file__).parent / "failures"
SCRIPTS = sorted(path for path in HERE.iterdir() if path.suffix in (".py", ".sh"))
RUN = re.compile(r"^# run: (.*)$", re.MULTILINE)
EXPECT = re.compile(
    r"^# expect: exit (\d+), rank (\d+|any), diagnosis ([\w-]+(?: or [\w-]+)?)$", re.MULTILINE
)
LINES = 25


def parameters() -> list[object]:
    torch = [pytest.mark.torch, pytest.mark.xdist_group("torch")]
    return [
        pytest.param(path, id=path.stem, marks=torch if "import torch" in path.read_text() else [])
        for path in SCRIPTS
    ]


@pytest.mark.parametrize("script", parameters())
def test_failure(launcher: Launcher, script: Path) -> None:
    text = script.read_text()
    run, expect = RUN.search(text), EXPECT.search(text)
    assert run, f"{script.name} does not say how it is run"
    assert expect, f"{script.name} does not say what is to be found"
    copy = launcher.directory / script.name
    copy.write_text(text)
    words = [script.name if word == "SCRIPT" else word for word in run[1].split()]
    job = launcher.start("--shutdown-timeout", "2s", *words)
    job.wait(120)

    assert job.process.returncode == int(expect[1]), job.stderr
    incident = json.loads(
        (job.run / "incidents" / str(len(job.result["attempts"]) - 1) / "incident.json").read_text()
    )
    assert expect[2] in ("any", str(incident["first_failure"]["rank"]))
    assert (incident["diagnosis"] or {"id": "none"})["id"] in expect[3].split(" or ")
    assert incident["first_failure"]["exit_code"] == job.process.returncode

    assert len(job.stderr.rpartition(f"launcher: {job.run.name} failed")[2].splitlines()) <= LINES
    verdict = normalise(job)
    if "# varies" in text:
        return
    golden = script.with_suffix(".txt")
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(verdict)
    assert verdict == golden.read_text()


def normalise(job: Job) -> str:
    """The verdict without what differs from run to run and machine to machine."""
    _, _, verdict = job.stderr.rpartition(f"launcher: {job.run.name} failed")
    verdict = f"launcher: JOB failed{verdict}".replace(job.run.name, "JOB").replace(str(job.directory), "DIR")
    verdict = verdict.replace(sysconfig.get_paths()["purelib"], "SITE").replace(
        sysconfig.get_paths()["stdlib"], "LIB"
    )
    verdict = re.sub(r'((?:SITE|LIB)/[^"]*", line) \d+', r"\1 N", verdict)
    verdict = re.sub(r"\n {11}(?!\|)", " ", verdict)  # where a line is wrapped depends on how long a pid is
    verdict = re.sub(r"repeated \d+ more times", "repeated N more times", verdict)
    verdict = re.sub(r"\bpid \d+", "pid N", verdict)
    verdict = re.sub(r"\(pid\(?s?\)? [\d, ]+\)", "(pid N)", verdict)
    verdict = re.sub(r"after [\d.]+ (ms|s)\b|within [\d.]+ (ms|s)\b", "after T", verdict)
    verdict = re.sub(r"127\.0\.0\.1\]?:\d+", "ADDRESS", verdict)
    return verdict.rstrip() + "\n"


def test_there_are_forty() -> None:
    assert len(SCRIPTS) >= 40


def test_no_verdict_is_left_over() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {
        path.stem for path in SCRIPTS if "# varies" not in path.read_text()
    }
