"""The command line: quick, frozen, and the same from a wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Launcher

ROOT = Path(__file__).resolve().parents[2]

# Measured over bare Python, in ms: asyncio 48, yaml 31, psutil 21, subprocess 15. None is needed to start.
HEAVY = (
    "torch",
    "numpy",
    "asyncio",
    "yaml",
    "psutil",
    "rich",
    "subprocess",
    "logging",
    "http",
    "email",
    "argparse",
)


@pytest.mark.parametrize("statement", ["launchers.cli.main(['--help'])", "import launchers.cli.job_run"])
def test_nothing_heavy_is_imported_to_start(statement: str) -> None:
    code = f"import sys, launchers.cli; {statement}; sys.stderr.write(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stderr.split()
    assert set(HEAVY) & set(loaded) == set()


def test_help_is_frozen(launcher: Launcher) -> None:
    """A new or lost option shows here. Write the new text to tests/golden/help.txt when it is meant."""
    assert launcher.run_bare("--help").stdout == (ROOT / "tests/golden/help.txt").read_text()


def test_every_option_can_be_set_by_a_variable(launcher: Launcher) -> None:
    shown = launcher.run_bare(
        "config", "show", env={"LAUNCHER_NO_PYTHON": "1", "PET_NPROC_PER_NODE": "2"}
    ).stdout
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert lines["no-python"] == ["on", "LAUNCHER_NO_PYTHON"]
    assert lines["nproc-per-node"] == ["2", "PET_NPROC_PER_NODE"]


def test_a_script_named_like_a_command_is_written_with_a_path(launcher: Launcher) -> None:
    launcher.script("print('mine')", "run")
    assert launcher.run_bare("./run").stdout == "mine\n"


def test_log_dir_has_torchruns_layout(launcher: Launcher) -> None:
    script = launcher.script("import sys; print('out'); print('err', file=sys.stderr)")
    job = launcher.run("--nproc-per-node", 2, "--log-dir", "logs", "--rdzv-id", "abc", script)
    assert job.process.returncode == 0
    for rank in ("0", "1"):
        directory = launcher.directory / "logs" / "abc" / "attempt_0" / rank
        assert (directory / "stdout.log").read_text() == "out\n"
        assert (directory / "stderr.log").read_text() == "err\n"


def test_streams_are_kept_apart_where_the_user_does(launcher: Launcher) -> None:
    script = launcher.script("import sys; print('out', flush=True); print('err', file=sys.stderr)")
    job = launcher.run(script)
    assert job.stdout == "out\n"
    assert "err\n" in job.stderr
    together = launcher.start(script, runs="together", stderr=subprocess.STDOUT)
    together.wait()
    assert together.log() == "out\nerr\n"


def test_files_are_private(launcher: Launcher) -> None:
    job = launcher.run(launcher.script("print(1)"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in [job.run, *job.run.rglob("*")]}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()


def test_no_secret_of_the_environment_is_written(launcher: Launcher) -> None:
    script = launcher.script("print(1)")
    job = launcher.run(script, env={"AWS_SECRET_ACCESS_KEY": "hunter2"})
    assert not [path for path in job.run.rglob("*") if path.is_file() and "hunter2" in path.read_text()]


def test_the_wheel_from_a_foreign_directory(launcher: Launcher, tmp_path: Path) -> None:
    """As a user has it: installed, and a launcher.py of their own in the directory, which -m would find."""
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    source = _copy_of_sources(tmp_path / "source")
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", str(site), str(wheel)], check=True, cwd=tmp_path)
    launcher.script("raise SystemExit('the wrong launcher')", "launcher.py")
    launcher.script("import os, ma_training; print(os.environ['RANK'], ma_training.__file__)")
    env = launcher.environ(PYTHONPATH=str(site))
    words = [str(site / "bin" / "launcher"), "--nproc-per-node", "2", "train.py"]
    done = subprocess.run(words, cwd=launcher.directory, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"0 {site / 'ma_training' / '__init__.py'}\n"
    assert done.returncode == 0


def _copy_of_sources(target: Path) -> Path:
    """A build writes beside its sources: not into the tree that others are reading."""
    import shutil

    target.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "launcher.py"):
        shutil.copy(ROOT / name, target)
    for name in ("ma_training", "launchers"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_module_form_is_the_same_command(launcher: Launcher) -> None:
    launcher.script("print('hello')")
    words = [sys.executable, "-m", "launcher", "train.py"]
    env = launcher.environ(PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(words, cwd=launcher.directory, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "hello\n"
