"""``launcher check`` as it is called."""

import json
import resource
import socket
import time
from pathlib import Path

import pytest

from ma_training.precheck import BY_CODE, NAMES
from ma_training.testing import FAULTS, FakeNode

from ..support import Launcher


def test_groups_and_marks(launcher: Launcher) -> None:
    job = launcher.run_bare("check")
    assert job.process.returncode in (0, 69)
    groups = [line for line in job.stdout.splitlines() if line and not line.startswith(" ")]
    assert groups[:3] == ["platform", "system", "network"]
    assert "  ✓ python" in job.stdout and "passed," in groups[-1]


def test_json(launcher: Launcher) -> None:
    job = launcher.run_bare("check", "--json", "--only", "disk-size,python")
    records = [json.loads(line) for line in job.stdout.splitlines()]
    assert [record["check"] for record in records] == [
        "disk-size root",
        "disk-size shm",
        "disk-size cache",
        "python",
    ]
    assert all(record["v"] == 1 and record["node"] for record in records)


def test_quick_is_quick(launcher: Launcher) -> None:
    """No figure is held here, but what a hang or an import of torch would cost."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    launcher.run_bare("check")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 5 and time.monotonic() - began < 30  # seconds


@pytest.mark.parametrize("code", ["A050149", "A050101", "A050206"])
def test_rehearsals(launcher: Launcher, code: str) -> None:
    job = launcher.run_bare("check", "--rehearse", code.lower(), "--json")
    assert job.process.returncode == 69
    assert "a rehearsal of" in job.stderr
    codes = {each["code"] for line in job.stdout.splitlines() for each in json.loads(line)["codes"]}
    assert codes == {code}


def test_words_in_chinese(launcher: Launcher) -> None:
    job = launcher.run_bare("check", "--rehearse", "A050149", "--lang", "zh")
    assert BY_CODE["A050149"].zh in job.stdout


def test_codes_and_list(launcher: Launcher) -> None:
    codes = launcher.run_bare("check", "--codes").stdout
    assert all(code in codes for code in BY_CODE)
    listed = launcher.run_bare("check", "--list").stdout
    assert [line[:18].strip() for line in listed.splitlines()] == list(NAMES)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["--only", "gpu-eec"], "there is no check 'gpu-eec'", "did you mean gpu-ecc?"),
        (["--only"], "--only needs a value", "--help"),
        (["--limit", "root=many"], "root=many does not parse", "write root=16GB"),
        (["--level", "ful"], "--level ful: unknown", "did you mean full?"),
        (["--rehearse", "A050148x"], "there is no such fault code", "did you mean A050148?"),
        (["--rehearse", "A050202"], "no node can know it", "cannot say so"),
        (["--levle", "full"], "unknown option --levle", "did you mean --level?"),
        (["train.py"], "'train.py' is not understood", "launcher check --help"),
        (["--json=yes"], "--json takes no value", ""),
    ],
)
def test_bad_input(launcher: Launcher, words: list[str], error: str, hint: str) -> None:
    job = launcher.run_bare("check", *words)
    assert job.process.returncode == 64 and job.stdout == ""
    assert error in job.stderr and hint in job.stderr


def test_thresholds_of_the_environment(launcher: Launcher) -> None:
    job = launcher.run_bare("check", env={"LAUNCHER_PRECHECK_LIMITS": "root=lots"})
    assert job.process.returncode == 64 and "root=lots does not parse" in job.stderr


def test_a_tool_that_hangs_is_a_finding(launcher: Launcher, tmp_path: Path) -> None:
    node = FakeNode(tmp_path / "node")
    node.add_gpus(1)
    node.hang("nvidia-smi")
    job = launcher.run_bare("check", "--only", "gpu", env=node.environ, timeout=60)
    assert job.process.returncode == 69
    assert "'nvidia-smi -q -x' has not answered within" in job.stdout and "A050103" in job.stdout


def test_three_nodes_are_compared(launcher: Launcher) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = ("check", "--level", "full", "--only", "python", "--nnodes", "3", "--master-addr", "127.0.0.1")
    words += ("--master-port", port, "--join-timeout", "40s", "--json", "--node-rank")
    odd = {"NCCL_IB_TC": "106"}
    jobs = [launcher.start_bare(*words, str(rank), env=odd if rank == 2 else {}) for rank in (0, 1, 2)]
    for job in jobs:
        assert job.wait(90) == 0, job.stderr
        found = {record["check"]: record for record in map(json.loads, job.stdout.splitlines())}
        assert found["same-packages"]["verdict"] == found["clock-skew"]["verdict"] == "ok"
        assert "node 2" in found["same-settings"]["measured"]
        assert found["same-settings"]["verdict"] == "warn"
        assert "3 pairs" in found["network-pairs"]["measured"] or "node" in found["network-pairs"]["measured"]
        assert found["collective"]["verdict"] in ("ok", "warn")


def test_a_node_that_does_not_come_is_named(launcher: Launcher) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = ("check", "--level", "full", "--only", "python", "--nnodes", "2", "--node-rank", "0")
    words += ("--master-addr", "127.0.0.1", "--master-port", port, "--join-timeout", "1s")
    job = launcher.run_bare(*words)
    assert job.process.returncode == 69 and "node 1 of 2 did not come" in job.stdout


def test_rehearsals_leave_nothing(launcher: Launcher, tmp_path: Path) -> None:
    launcher.run_bare("check", "--rehearse", next(iter(FAULTS)), env={"TMPDIR": str(tmp_path)})
    assert not list(tmp_path.glob("rehearsal-*"))
