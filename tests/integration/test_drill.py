"""``launcher drill`` on scripts that resume rightly, wrongly and not at all."""

import json
import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.snapshot import default_root
from tests.support import Job, Launcher, is_alive, wait_until

PATIENCE = 200.0  # PyTorch is started up to five times

TRAIN = """
import os, random, torch
from torch.utils.data import DataLoader, TensorDataset
from ma_training import TrainingState
from ma_training.data import ResumableBatchSampler
{ahead}
torch.manual_seed(0)
dataset = TensorDataset(torch.randn(48, 8), torch.randn(48, 1))
batches = ResumableBatchSampler(dataset, batch_size=4, seed=1)
body = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Dropout())
model = torch.nn.Sequential(body, torch.nn.Linear(16, 1))
{wrap}
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.9)
own = random.Random(3)
state = TrainingState(model=model, optimizer=optimizer, scheduler=scheduler, batches=batches)
state.restore()
for epoch in state.epochs(9):
    for x, y in DataLoader(dataset, batch_sampler=batches):
        x = x * {factor}
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        state.commit()
"""

# What a state is made of does not matter to the drill's own ways, and PyTorch takes seconds to start.
COUNT = """
import os, random, sys, time
from ma_training import TrainingState
random.seed(1)
numbers = {"x": 0.5}
state = TrainingState(numbers=numbers)
state.restore()
for step in range(state.step, 30):
    numbers["x"] = 3.9 * numbers["x"] * (1 - numbers["x"]) + random.random() / 1e6
    numbers["x"] %= 1
    state.commit()
"""


@pytest.fixture
def temporary(launcher: Launcher) -> Iterator[Path]:
    """Where drills have their directories; they leave none, nor anything in shared memory."""
    path = launcher.directory / "tmp"
    path.mkdir()
    before = _abandoned()
    yield path
    assert list(path.glob("launcher-drill-*")) == []
    wait_until(lambda: not _abandoned() - before, "snapshots of drills to be removed")
    assert sorted(one.name for one in launcher.directory.iterdir() if one.suffix != ".py") == ["tmp"]


def _abandoned() -> set[Path]:
    """Directories of snapshots that a drill has left; those of drills that run have a living owner."""
    return {path.parent for path in default_root().glob("*/owner.json") if _is_abandoned(path)}


def _is_abandoned(path: Path) -> bool:
    try:
        owner = json.loads(path.read_text())
    except FileNotFoundError:
        return False
    return owner["job"].startswith("drill-") and not is_alive(owner["pid"])


def drill(launcher: Launcher, script: str, *words: str) -> Job:
    launcher.script(textwrap.dedent(script))
    env = {"TMPDIR": str(launcher.directory / "tmp")}
    return launcher.run_bare("drill", *words, "train.py", env=env, timeout=PATIENCE)


def torch_script(factor: str = "1", ahead: str = "", wrap: str = "") -> str:
    return TRAIN.format(factor=factor, ahead=ahead, wrap=wrap)


# --- scripts of PyTorch ---


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
@pytest.mark.timeout(240)
def test_a_script_that_resumes_is_proved_to(launcher: Launcher, temporary: Path) -> None:
    script = torch_script(
        ahead="torch.distributed.init_process_group('gloo')",
        wrap="model = torch.nn.parallel.DistributedDataParallel(model)",
    )
    job = drill(launcher, script, "--nproc-per-node", "2", "--steps", "10", "--kill-rank", "1")
    assert job.process.returncode == 0, job.stdout + job.stderr
    first, compared, resumed = job.stdout.splitlines()
    assert first == "identical: train.py resumes bit for bit (10 steps, rank 1 killed after step 5)"
    assert "of 2 ranks" in compared
    assert " from memory in " in resumed


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
@pytest.mark.timeout(240)
def test_a_generator_that_is_not_in_the_state_is_found(launcher: Launcher, temporary: Path) -> None:
    job = drill(launcher, torch_script("own.uniform(0.5, 1.5)"))
    assert job.process.returncode == 1
    lines = job.stdout.splitlines()
    assert lines[0] == (
        "different: train.py does not resume bit for bit (20 steps, rank 0 killed after step 10)"
    )
    assert "    model/0.0.weight" in lines
    assert not any("rng/" in line for line in lines)
    assert "random.Random()" in job.stdout
    assert len(lines) <= 20


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
@pytest.mark.timeout(240)
def test_a_script_that_is_not_deterministic_is_told_from_one_that_resumes_wrongly(
    launcher: Launcher, temporary: Path
) -> None:
    job = drill(launcher, torch_script("(1 + os.urandom(1)[0])"), "--steps", "4")
    assert job.process.returncode == 1
    assert job.stdout.startswith("different: train.py is not deterministic by itself")
    assert "model/0.0.weight" in job.stdout


# --- what else may be wrong with a script ---


def test_without_a_commit(launcher: Launcher, temporary: Path) -> None:
    job = drill(launcher, COUNT.replace("state.commit()", "print('trained', step)"))
    assert job.process.returncode == 1
    lines = job.stdout.splitlines()
    assert lines[0] == "failed: train.py ended without one state.commit() (rank 0)"
    assert "  | state: nothing to resume: starting at step 0" in lines


def test_too_few_steps(launcher: Launcher, temporary: Path) -> None:
    job = drill(launcher, COUNT, "--steps", "40")
    assert job.process.returncode == 1
    assert job.stdout.startswith("failed: train.py ended after step 30, before step 40")
    assert "--steps 30" in job.stdout


def test_a_script_that_fails(launcher: Launcher, temporary: Path) -> None:
    job = drill(launcher, COUNT.replace("state.commit()", "raise ValueError('bad batch')"))
    assert job.process.returncode == 1
    lines = job.stdout.splitlines()
    assert lines[0] == "failed: train.py, run straight: rank 0 raised ValueError: bad batch"
    assert lines[-1] == "  | ValueError: bad batch"


def test_one_that_fails_after_the_kill(launcher: Launcher, temporary: Path) -> None:
    job = drill(launcher, COUNT.replace("state.restore()", "assert not state.restore()"))
    assert job.process.returncode == 1
    assert job.stdout.startswith("failed: train.py, run with the kill: rank 0 raised AssertionError")


@pytest.mark.parametrize("call", ["pass", "state.restore() if attempt == '0' else None"])
def test_one_that_begins_anew_is_not_taken_for_identical(
    launcher: Launcher, temporary: Path, call: str
) -> None:
    ahead = "\nattempt = os.environ['TORCHELASTIC_RESTART_COUNT']\n"
    script = COUNT.replace("state.restore()", ahead + call)
    job = drill(launcher, script)
    assert job.process.returncode == 1
    assert job.stdout.startswith("not resumed: train.py began anew")
    assert "state.restore()" in job.stdout


# --- the drill's own ways ---


def test_the_verdict_as_json(launcher: Launcher, temporary: Path) -> None:
    script = COUNT.replace("random.seed(1)", "random.seed(1)\nown = random.Random(2)")
    script = script.replace("random.random()", "own.random()")
    job = drill(launcher, script, "--json", "--steps=6", "--kill-at", "2")
    assert job.process.returncode == 1
    record = json.loads(job.stdout)
    assert (record["v"], record["outcome"], record["steps"], record["kill_at"]) == (1, "different", 6, 2)
    assert (record["resumed"]["step"], record["resumed"]["from"]) == (2, "memory")
    assert record["resumed"]["seconds_after_kill"] > 0
    assert record["different"] == [{"name": "numbers/x", "kind": "value", "ranks": [0], "only_in": None}]
    assert record["compared"]["components"] == ["numbers"]


def test_a_generator_that_nobody_uses_need_not_be_seeded(launcher: Launcher, temporary: Path) -> None:
    script = COUNT.replace("random.seed(1)", "").replace("random.random()", "0.1")
    job = drill(launcher, script)
    assert job.process.returncode == 0, job.stdout


def test_one_that_is_used_and_not_seeded_is_found(launcher: Launcher, temporary: Path) -> None:
    job = drill(launcher, COUNT.replace("random.seed(1)", ""))
    assert job.stdout.startswith("different: train.py is not deterministic by itself"), job.stdout
    assert "rng/python" in job.stdout and "numbers/x" in job.stdout


def test_numbers_drawn_outside_of_the_steps(launcher: Launcher, temporary: Path) -> None:
    script = COUNT.replace("state.restore()", "state.restore()\nrandom.random()")
    job = drill(launcher, script)
    assert job.stdout.startswith("different: train.py does not resume"), job.stdout
    assert "rng/python" in job.stdout


def test_nothing_of_the_real_job_is_touched(launcher: Launcher, temporary: Path) -> None:
    script = COUNT.replace("numbers=numbers", "numbers=numbers, directory='mine', checkpoint_every=2")
    environ = {"LAUNCHER_CHECKPOINT_DIR": str(launcher.directory / "real"), "LAUNCHER_LOG_DIR": "logs"}
    launcher.script(script)
    (launcher.directory / "launcher.py").write_text("raise SystemExit('the wrong launcher')")
    env = environ | {"TMPDIR": str(temporary)}
    job = launcher.run_bare("drill", "train.py", env=env)
    assert job.process.returncode == 0, job.stdout + job.stderr
    # the fixture looks for directories


def test_both_runs_are_kept_where_asked(launcher: Launcher) -> None:
    (launcher.directory / "tmp").mkdir()
    job = drill(launcher, COUNT, "--keep")
    (root,) = (launcher.directory / "tmp").iterdir()
    assert root.stat().st_mode & 0o777 == 0o700
    assert job.stdout.splitlines()[-1].split() == ["kept", str(root)]
    assert sorted(path.name for path in root.iterdir()) == ["resumed", "straight"]
    (log,) = root.glob("resumed/logs/*/attempt_1/0/stderr.log")
    assert "state: step 10 (epoch 0) restored from memory" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_all_that_it_started(
    launcher: Launcher, temporary: Path, number: signal.Signals
) -> None:
    launcher.script(COUNT.replace("state.commit()", "state.commit(); time.sleep(60)"))
    job = launcher.start_bare("drill", "train.py", env={"TMPDIR": str(temporary)})
    wait_until(lambda: list(temporary.glob("*/straight/out/rank-0.step")), "the first step")
    job.signal(number)
    assert job.wait() == 128 + number
    assert f"ended by {number.name}" in job.stderr
    assert launcher.processes() == []


def test_killed_it_leaves_no_process(launcher: Launcher) -> None:
    tmp = launcher.directory / "tmp"
    tmp.mkdir()
    launcher.script(COUNT.replace("state.commit()", "state.commit(); time.sleep(60)"))
    job = launcher.start_bare("drill", "train.py", env={"TMPDIR": str(tmp)})
    wait_until(lambda: list(tmp.glob("*/straight/out/rank-0.step")), "the first step")
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    wait_until(lambda: not launcher.processes(), "the end of all processes")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "1", "train.py"], "--steps: '1' is not a whole number of at least 2"),
        (["--steps", "many", "train.py"], "--steps: 'many'"),
        (["--kill-at", "20", "train.py"], "--kill-at 20 is not before the last step, 20"),
        (["--kill-rank", "1", "train.py"], "--kill-rank 1: the ranks are 0 to 0"),
        (["--kill-ranks", "1", "train.py"], "did you mean --kill-rank?"),
        (["--json=yes", "train.py"], "--json takes no value"),
        (["--nnodes", "2", "--node-rank", "0", "--master-addr", "localhost", "train.py"], "on one node"),
        (["--dry-run", "train.py"], "--dry-run"),
        (["nope.py"], "no such script: nope.py"),
        ([], "no script given"),
    ],
)
def test_what_makes_no_sense(launcher: Launcher, words: list[str], said: str) -> None:
    launcher.script("")
    job = launcher.run_bare("drill", *words)
    assert job.process.returncode == 64
    assert said in job.stderr
    assert job.stdout == ""


def test_help(launcher: Launcher) -> None:
    job = launcher.run_bare("drill", "--nproc-per-node", "2", "--help")
    assert job.process.returncode == 0
    assert job.stdout.startswith("usage: launcher drill")
