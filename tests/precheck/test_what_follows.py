"""When a node is looked at, and what follows from what is found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from launchers.cli.isolating import commands
from launchers.cli.precheck_mode import precheck_mode
from ma_training.precheck import LimitError, Limits, UnknownCheckError, Verdict, choose, parse_limits
from ma_training.precheck.after_failure import Course, decide
from ma_training.precheck.finding import Finding
from ma_training.precheck.isolation import (
    Isolation,
    IsolationError,
    isolate,
    isolation,
    node_name,
    release,
)

FAULT = Finding(Verdict.FAIL, "GPU 1: gone", codes=("A050109",), check="gpu-xid", hardware=True)
DISK = Finding(Verdict.FAIL, "full", check="disk-size root")
WARM = Finding(Verdict.WARN, "90 degrees", check="gpu-temperature", hardware=True)
RECORD = Isolation("node-7", "boot-1", "gpu-xid: gone", ("A050109",), "job-1", 1000.0, 2000.0)

# --- the guide's four scenes ---


def test_hardware_fault_and_a_bad_end() -> None:
    decision = decide([FAULT, WARM, DISK], ended_badly=True)
    assert decision.course is Course.ISOLATE
    assert (decision.reason, decision.codes) == ("gpu-xid: GPU 1: gone", ("A050109",))


def test_a_bad_end_on_healthy_hardware_is_the_restart_policys() -> None:
    assert decide([WARM, DISK], ended_badly=True).course is Course.RESTART_POLICY
    assert decide([], ended_badly=True).course is Course.RESTART_POLICY


def test_a_running_job_is_left_alone() -> None:
    assert decide([FAULT], ended_badly=False).course is Course.NOTHING


def test_a_fault_that_the_job_began_with_did_not_end_it() -> None:
    assert decide([FAULT], True, before=[FAULT]).course is Course.RESTART_POLICY
    worse = replace(FAULT, measured="GPU 1: gone; GPU 2: gone")
    assert decide([worse], True, before=[FAULT]).course is Course.ISOLATE


# --- isolation ---


def test_a_record_holds_until_it_expires_or_the_node_is_restarted(tmp_path: Path) -> None:
    path = isolate(tmp_path, RECORD)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert isolation(tmp_path, "node-7", "boot-1", 1999.0) == RECORD
    assert isolation(tmp_path, "node-7", "boot-1", 2000.0) is None
    assert isolation(tmp_path, "node-7", "boot-2", 1500.0) is None
    assert isolation(tmp_path, "node-8", "boot-1", 1500.0) is None


def test_release(tmp_path: Path) -> None:
    isolate(tmp_path, RECORD)
    assert release(tmp_path, "node-7")
    assert not release(tmp_path, "node-7")
    assert isolation(tmp_path, "node-7", "boot-1", 1500.0) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v": 1}', '{"v": 1, "codes": 3}', "null", "\xff"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = isolate(tmp_path, RECORD)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(IsolationError, match=r"node-7\.json"):
        isolation(tmp_path, "node-7", "boot-1", 1500.0)


def test_a_nodes_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    path = isolate(tmp_path, replace(RECORD, node="../../etc/x"))
    assert path.parent == tmp_path / "isolated"
    assert json.loads(path.read_text())["node"] == "../../etc/x"


def test_who_names_the_node() -> None:
    assert node_name({}, "host") == "host"
    assert node_name({"MA_CURRENT_HOST_IP": "10.0.0.7"}, "pod-0") == "10.0.0.7"
    assert node_name({"NODE_NAME": "kube-7", "MA_CURRENT_HOST_IP": "10.0.0.7"}, "pod-0") == "kube-7"


def test_commands_for_schedulers() -> None:
    (drain,) = commands(RECORD, {"SLURM_JOB_ID": "1", "SLURMD_NODENAME": "n7"})
    assert drain == "scontrol update NodeName=n7 State=DRAIN Reason='A050109 gpu-xid: gone'"
    taint, note = commands(RECORD, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "NODE_NAME": "kube-7"})
    assert taint == "kubectl taint nodes kube-7 ma-training/isolated=A050109:NoSchedule"
    assert "ma-training/isolated-until=1970-01-01 00:33 UTC" in note
    assert commands(RECORD, {}) == []


# --- when ---


@pytest.mark.parametrize(
    ("option", "platform", "environ", "mode"),
    [
        ("auto", "local", {}, "beside"),
        ("auto", "slurm", {}, "before"),
        ("auto", "modelarts", {"MA_SKIP_IMAGE_DETECT": "1"}, "before"),
        ("auto", "modelarts", {"MA_SKIP_IMAGE_DETECT": "0"}, "off"),
        ("auto", "modelarts", {"MA_DETECT_TRAIN_INJECT_CODE": "0"}, "off"),
        ("auto", "modelarts", {"MA_SKIP_IMAGE_DETECT": ""}, "before"),
        ("auto", "local", {"MA_SKIP_IMAGE_DETECT": "1"}, "before"),
        ("on", "modelarts", {"MA_SKIP_IMAGE_DETECT": "0"}, "before"),
        ("warn", "slurm", {}, "beside"),
        ("off", "slurm", {"MA_SKIP_IMAGE_DETECT": "1"}, "off"),
    ],
)
def test_modes(option: str, platform: str, environ: dict[str, str], mode: str) -> None:
    assert precheck_mode(option, platform, environ) == mode


def test_inside_a_worker_of_another_job() -> None:
    assert precheck_mode("auto", "local", {}, inside=True) == "off"


# --- bad input ---


def test_thresholds() -> None:
    limits = parse_limits(["root=16GB", "flaps=9", "clock=500ms", "slower=3"])
    assert (limits.root, limits.flaps, limits.clock, limits.slower) == (16 << 30, 9, 0.5, 3.0)
    assert limits.shm == Limits().shm


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("root=many", "write root=16GB"),
        ("root", "write root=16GB"),
        ("flaps=five", "write flaps=3"),
        ("flaps=-1", "write flaps=3"),
        ("clock=soon", "write clock=2s"),
        ("roto=1", "they are root, shm"),
    ],
)
def test_thresholds_that_do_not_parse(word: str, hint: str) -> None:
    with pytest.raises(LimitError) as raised:
        parse_limits([word])
    assert hint in raised.value.hint


def test_an_unknown_check() -> None:
    with pytest.raises(UnknownCheckError) as raised:
        choose(["gpu-eec"])
    assert raised.value.nearest == "gpu-ecc"
    assert [check.name for check in choose(["disk-size", "npu-link"])] == [
        "disk-size root",
        "disk-size shm",
        "disk-size cache",
        "npu-link",
    ]
