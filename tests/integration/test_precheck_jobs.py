"""Real launchers on a machine whose devices are fakes: before a job, beside it, and after a failure."""

import json
import os
from pathlib import Path

import pytest

from ma_training.testing import FakeNode

from ..support import Job, Launcher, wait_until

MODELARTS = {"MA_VJ_NAME": "ma-job-1", "MA_NUM_HOSTS": "1", "MA_CURRENT_HOST_IP": "10.9.9.9"}
HELLO = 'print("hello from the worker")'


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    """Tools alone: /dev and /proc are this machine's own."""
    node = FakeNode(tmp_path / "node")
    node.add_gpus(2)
    return node


def _path(node: FakeNode) -> dict[str, str]:
    return {"PATH": f"{node.bin}:{os.environ['PATH']}", "NVIDIA_VISIBLE_DEVICES": "all"}


def _break(node: FakeNode) -> None:
    node.gpus[0].remap_failed = True
    node.say_gpus()


def _kinds(job: Job) -> list[str]:
    return [event.kind for event in job.events()]


def test_a_platform_is_looked_at_before_the_workers(launcher: Launcher, node: FakeNode) -> None:
    script = launcher.script(HELLO)
    env = {**MODELARTS, **_path(node)}
    job = launcher.run("--precheck-limits", "root=1MB", script, env=env)
    assert job.process.returncode == 0, job.stderr
    assert "[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: disk-size root" in job.stderr
    assert "[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: gpu-check" in job.stderr
    kinds = _kinds(job)
    assert kinds.index("precheck.ended") < kinds.index("attempt.started")


def test_a_node_that_fails_runs_nothing_and_is_named(launcher: Launcher, node: FakeNode) -> None:
    _break(node)
    script = launcher.script(HELLO)
    limits = ("--precheck-limits", "root=1MB")
    env = {**MODELARTS, **_path(node)}
    job = launcher.run(*limits, script, env=env)
    assert job.process.returncode == 69
    assert "hello" not in job.stdout
    assert "precheck failed on 10.9.9.9:" in job.stderr
    assert "L4: remapping of rows has failed" in job.stderr and "[A050101]" in job.stderr
    assert "kubectl taint nodes NODE ma-training/isolated=A050101:NoSchedule" in job.stderr
    record = json.loads((job.directory / "runs/isolated/10.9.9.9.json").read_text())
    assert record["codes"] == ["A050101"]
    (run,) = (path for path in (job.directory / "runs").iterdir() if path.name != "isolated")
    result = json.loads((run / "result.json").read_text())
    assert (result["exit_code"], result["outcome"]) == (69, "failed")
    assert "10.9.9.9" in result["reason"]
    events = (run / "events/node0.ndjson").read_text()
    assert '"kind": "precheck.finding"' in events and '"exit_code": 69' in events

    checked = launcher.run_bare("check", "--only", "gpu", env=env)
    assert checked.process.returncode == 69
    assert "new jobs keep away from 10.9.9.9 until" in checked.stderr
    node.gpus[0].remap_failed = False  # mended, but no one has said so
    node.say_gpus()
    again = launcher.run(*limits, script, env=env)
    assert again.process.returncode == 69
    assert "10.9.9.9 is isolated until" in again.stderr and "launcher check --release" in again.stderr
    released = launcher.run_bare("check", "--release", env=env)
    assert released.stdout.startswith("10.9.9.9 is no longer kept away from")
    assert launcher.run(*limits, script, env=env).process.returncode == 0


def test_the_switch_of_modelarts(launcher: Launcher, node: FakeNode) -> None:
    _break(node)
    env = {**MODELARTS, **_path(node), "MA_SKIP_IMAGE_DETECT": "0"}
    job = launcher.run(launcher.script(HELLO), env=env)
    assert job.process.returncode == 0
    assert "[detect]" not in job.stderr and not job.events("precheck.ended")


def test_elsewhere_it_runs_beside_the_workers_and_warns(launcher: Launcher, node: FakeNode) -> None:
    _break(node)
    script = launcher.script(
        """
        import pathlib, time
        print("began", flush=True)
        while not pathlib.Path("end").exists():
            time.sleep(0.02)
        """
    )
    job = launcher.start(script, env=_path(node))
    wait_until(lambda: job.events("precheck.ended"), "the precheck's end")
    (job.directory / "end").touch()
    assert job.wait() == 0
    assert "precheck: gpu-ecc: GPU 0" in job.stderr and "the job goes on\n    hint: " in job.stderr
    kinds = _kinds(job)
    assert kinds.index("worker.started") < kinds.index("precheck.finding") < kinds.index("worker.exited")
    assert not (job.directory / "runs/isolated").exists()


BREAKS = """
    import pathlib, shutil, sys
    attempt = pathlib.Path("attempts")
    with attempt.open("a") as file:
        file.write("x")
    if pathlib.Path("worse").exists():  # a GPU that breaks while it is used
        shutil.copyfile("worse", "report")
    sys.exit(3)
"""


def _watching(launcher: Launcher, node: FakeNode) -> None:
    """A node whose nvidia-smi prints the file ``report``."""
    from ma_training.testing.tool_output import Gpu, nvidia_smi_xml

    (launcher.directory / "report").write_text(nvidia_smi_xml([Gpu(), Gpu()]))
    (launcher.directory / "worse").write_text(nvidia_smi_xml([Gpu(remap_failed=True), Gpu()]))
    node.script("nvidia-smi", f'[ "$*" = "-q -x" ] && cat {launcher.directory}/report')


def test_a_hardware_fault_ends_the_job_here(launcher: Launcher, node: FakeNode) -> None:
    _watching(launcher, node)
    job = launcher.run("--precheck", "on", "--max-restarts", 2, launcher.script(BREAKS), env=_path(node))
    assert job.process.returncode == 69, job.stderr
    assert (job.directory / "attempts").read_text() == "x"
    assert "hardware fault on " in job.stderr and "new attempts keep away from it until" in job.stderr
    assert [event.data["course"] for event in _events_of(job, "hardware.checked")] == ["isolate"]
    assert "hardware fault on" in _result(job)["reason"]
    assert list((job.directory / "runs/isolated").glob("*.json"))


def test_a_users_failure_on_healthy_hardware_is_restarted(launcher: Launcher, node: FakeNode) -> None:
    _watching(launcher, node)
    (launcher.directory / "worse").unlink()
    script = launcher.script(BREAKS)
    job = launcher.run("--precheck", "on", "--max-restarts", 1, script, env=_path(node))
    assert job.process.returncode == 3
    assert (job.directory / "attempts").read_text() == "xx"
    assert [event.data["course"] for event in job.events("hardware.checked")] == ["restart-policy"] * 2


def test_a_signal_ends_the_job_while_a_broken_driver_is_asked(launcher: Launcher, node: FakeNode) -> None:
    script = launcher.script("import sys, pathlib; pathlib.Path('gone').touch(); sys.exit(3)")
    node.hang("nvidia-smi")
    job = launcher.start("--precheck", "warn", "--max-restarts", 1, script, env=_path(node))
    wait_until(lambda: job.events("attempt.ended"), "the end of the attempt")
    job.signal(15)
    assert job.wait() == 128 + 15


def _events_of(job: Job, kind: str) -> list:  # type: ignore[type-arg]
    from ma_training.events import read_events

    return [event for event in read_events(_run(job) / "events") if event.kind == kind]


def _run(job: Job) -> Path:
    (run,) = (path for path in (job.directory / "runs").iterdir() if path.name != "isolated")
    return run


def _result(job: Job) -> dict[str, object]:
    record: dict[str, object] = json.loads((_run(job) / "result.json").read_text())
    return record
