"""Bad input ends with 64 before any process starts: what was found, and what to write."""

import socket
from pathlib import Path

import pytest

from tests.support import Launcher


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch.py"], ["no such script: nosuch.py"]),
        (["trian.py"], ["no such script", "did you mean train.py?"]),
        (["folder"], ["folder is a directory"]),
        (["tool.sh"], ["not a Python script", "--no-python"]),
        ([], ["usage: launcher"]),
        (["--nproc-per-node", "2"], ["no script given"]),
        (["--nproc-per-node", "0", "train.py"], ["--nproc-per-node", "'0'", "at least 1"]),
        (["--nproc-per-node", "many", "train.py"], ["'many'", "auto, cpu, gpu, npu"]),
        (["--nproc-per-node"], ["--nproc-per-node needs a value"]),
        (["--nproc_per_nod", "2", "train.py"], ["unknown option", "did you mean --nproc-per-node?"]),
        (["--zzz", "train.py"], ["unknown option --zzz", "launcher --help"]),
        (["-x", "train.py"], ["unknown option -x"]),
        (["--master-port", "65536", "train.py"], ["--master-port", "65536", "1 to 65535"]),
        (["--master-port", "ssh", "train.py"], ["'ssh'"]),
        (["--max-restarts", "-1", "train.py"], ["--max-restarts", "-1", "at least 0"]),
        (["--max-restarts", "1.5", "train.py"], ["'1.5'"]),
        (["--shutdown-timeout", "soon", "train.py"], ["'soon' is not a duration", "30s"]),
        (
            ["--hang-timeout", "15m", "train.py"],
            ["--hang-timeout 900 s", "--collective-timeout 600 s", "init_process_group(timeout=)"],
        ),
        (["--hang-timeout", "0", "train.py"], ["--hang-timeout is 0 s"]),
        (["--on-hang", "panic", "train.py"], ["'panic' is none of restart, stop, dump, warn, off"]),
        (["--signals-to-handle", "SIGKILL", "train.py"], ["SIGKILL is not a signal that can be handled"]),
        (["--nnodes", "0", "train.py"], ["--nnodes", "'0'"]),
        (["--nnodes", "4:1", "train.py"], ["'4:1' is not a number of nodes"]),
        (["--nnodes", "2", "train.py"], ["nothing says where node 0 is", "--master-addr"]),
        (["--nnodes", "2", "--standalone", "train.py"], ["--standalone means one node"]),
        (
            ["--nnodes", "2", "--rdzv-backend", "etcd", "train.py"],
            ["'etcd' is not needed", "--rdzv-endpoint"],
        ),
        (
            ["--nnodes", "2", "--node-rank", "2", "--master-addr", "x", "train.py"],
            ["--node-rank is 2", "0 to 1"],
        ),
        (["--rdzv-endpoint", "host:many", "train.py"], ["'many'", "is not a port"]),
        (["--standalone=yes", "train.py"], ["--standalone takes no value"]),
        (["--module", "nosuchmodule"], ["no module named nosuchmodule"]),
        (["--module", "--no-python", "x"], ["exclude each other"]),
        (["--no-python", "nosuchprogram"], ["cannot run nosuchprogram", "on PATH"]),
        (["--config", "nosuch.toml", "train.py"], ["cannot read the configuration file nosuch.toml"]),
        (["--run-dir", "tool.sh/runs", "train.py"], ["cannot write the run directory", "--run-dir"]),
        (["config", "shwo"], ["launcher config show"]),
    ],
)
def test_refused(launcher: Launcher, words: list[str], said: list[str]) -> None:
    launcher.script("open('started', 'w')")
    launcher.script("#!/bin/sh\n", "tool.sh")
    (launcher.directory / "folder").mkdir()
    job = launcher.run_bare(*words)
    assert job.process.returncode == 64
    for text in said:
        assert text in job.stdout + job.stderr
    assert "Traceback" not in job.stderr
    assert not (launcher.directory / "started").exists()
    assert not (launcher.directory / "runs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max-restart = 1", ["unknown key 'max-restart'", "did you mean 'max-restarts'?"]),
        ("max-restarts = ", ["is not valid TOML"]),
        ("max-restarts = 'few'", ["launcher.toml (option --max-restarts)", "'few'"]),
        ("[run]\nmax-restarts = 1", ["unknown key 'run'"]),
        ("name = ['a']", ["name is a list"]),
    ],
)
def test_a_configuration_file_that_is_wrong(launcher: Launcher, text: str, said: list[str]) -> None:
    launcher.script("")
    (launcher.directory / "launcher.toml").write_text(text)
    job = launcher.run_bare("train.py")
    assert job.process.returncode == 64
    for part in said:
        assert part in job.stderr


def test_gpu_without_gpus(launcher: Launcher) -> None:
    launcher.script("")
    job = launcher.run_bare("--nproc-per-node", "gpu", "train.py", env={"CUDA_VISIBLE_DEVICES": ""})
    assert job.process.returncode == 64
    assert "no GPU found" in job.stderr


def test_an_unreadable_script(launcher: Launcher) -> None:
    """root reads everything, so not by mode: a name that leads in a circle."""
    (launcher.directory / "train.py").symlink_to("train.py")
    job = launcher.run_bare("train.py")
    assert job.process.returncode == 64
    assert "train.py" in job.stderr
    assert "Traceback" not in job.stderr


def test_a_port_that_someone_listens_on(launcher: Launcher) -> None:
    launcher.script("")
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        port = server.getsockname()[1]
        job = launcher.run_bare("--master-port", str(port), "train.py")
    assert job.process.returncode == 64
    assert f"--master-port {port}" in job.stderr
    assert "pid" in job.stderr  # who it is


def test_values_come_from_the_nearest_source(launcher: Launcher) -> None:
    launcher.script("")
    (launcher.directory / "launcher.toml").write_text("max_restarts = 7\nnproc-per-node = 2\nrole = 'file'\n")
    env = {"PET_MAX_RESTARTS": "8", "LAUNCHER_ROLE": "variable", "PET_ROLE": "torchrun"}
    job = launcher.run_bare("config", "show", "--role", "flag", env=env)
    lines = {line.split()[0]: line.split()[1:] for line in job.stdout.splitlines()}
    assert lines["max-restarts"] == ["8", "PET_MAX_RESTARTS"]
    assert lines["nproc-per-node"] == ["2", "launcher.toml"]
    assert lines["role"] == ["flag", "--role"]
    assert lines["name"] == ["-", "default"]


def test_dry_run_starts_nothing(launcher: Launcher) -> None:
    launcher.script("open('started', 'w')")
    job = launcher.run_bare("--dry-run", "--nproc_per_node=3", "train.py", "--x", env={"SECRET": "hunter2"})
    assert job.process.returncode == 0
    assert '"world_size": 3' in job.stdout
    assert "hunter2" not in job.stdout
    assert sorted(path.name for path in Path(launcher.directory).iterdir()) == ["train.py"]
