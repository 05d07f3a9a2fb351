"""A worker that SIGKILL does not end, as in a driver that hangs: frozen by cgroup v1 it sits in D state."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.agent.agent import Agent
from ma_training.agent.conductor import OneNode
from ma_training.events import EventLog
from ma_training.job import Command, JobSpec, RunDirectory, Timeouts, Topology
from tests.support import Launcher, wait_until


@pytest.fixture
def freezer() -> Iterator[Path]:
    group = Path("/sys/fs/cgroup/freezer") / f"ma-training-test-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no freezer cgroup of our own: {error}")
    yield group
    (group / "freezer.state").write_text("THAWED")
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "the frozen process to end")
    group.rmdir()


def test_it_is_abandoned_and_said_so(
    launcher: Launcher, freezer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from launchers.frameworks.torch import Torch, TorchOptions

    for name, value in launcher.environ().items():
        monkeypatch.setenv(name, value)
    script = launcher.script(
        f"""
        import os, time
        if os.environ["RANK"] == "1":
            while open("{freezer}/freezer.state").read() != "FROZEN\\n":
                time.sleep(0.01)
            os._exit(9)
        open("{freezer}/cgroup.procs", "w").write(str(os.getpid()))
        with open("{freezer}/freezer.state", "w") as state:
            state.write("FROZEN")
        time.sleep(1000)
        """
    )
    job = JobSpec(
        name="stuck",
        command=Command("script", str(script)),
        topology=Topology(nproc_per_node=2),
        cwd=str(launcher.directory),
        run_base=launcher.directory / "runs",
        timeouts=Timeouts(grace=0.5, kill=0.5),
    )
    run = RunDirectory.create(job.run_base, "stuck")
    said: list[str] = []
    lines: list[str] = []
    framework = Torch(job.command, job.cwd, TorchOptions(), os.environ)
    result = Agent(
        job, framework, run, EventLog("stuck", "node0", lines.append), said.append, OneNode(lambda *_: None)
    ).run()
    assert result.outcome == "failed"
    assert result.exit_code == 9
    assert result.attempts[0].abandoned == (0,)
    assert len(result.attempts) == 1  # its devices are not free: no further attempt on this node
    assert "D state" in str(result.reason)
    assert any("worker.abandoned" in line for line in lines)
