"""A script that is killed and started again makes the very losses of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ma_training.checkpoint import CheckpointStore
from ma_training.snapshot import JobDirectory, default_root, job_key

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("torch"), pytest.mark.timeout(600)]
PATIENCE = 100.0
STEPS = 28  # four epochs of seven batches

TRAIN = """
import os, random, signal, sys
import numpy, torch
from torch.utils.data import DataLoader, TensorDataset
from ma_training import TrainingState
from ma_training.data import ResumableBatchSampler

torch.set_num_threads(1)
torch.manual_seed(0)
random.seed(0)
numpy.random.seed(0)
workers, end_at, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
options = eval(sys.argv[4]) if len(sys.argv) > 4 else {}
world = int(os.environ.get("WORLD_SIZE", 1))
if world > 1:
    torch.distributed.init_process_group("gloo")
data = TensorDataset(torch.randn(54, 8), torch.randint(0, 3, (54,)))
model = torch.nn.Sequential(
    torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Dropout(0.3), torch.nn.Linear(16, 3)
)
trained = torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
batches = ResumableBatchSampler(data, batch_size=8 // world, seed=3)
loader = DataLoader(data, batch_sampler=batches, num_workers=workers)
counts = {"seen": 0, "mean": torch.zeros(())}
state = TrainingState(
    model=trained, optimizer=optimizer, scheduler=scheduler, batches=batches, counts=counts, **options
)
state.restore()
for epoch in state.epochs(4):
    for x, y in loader:
        loss = torch.nn.functional.cross_entropy(trained(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        counts["seen"] += len(x)
        counts["mean"] += loss.detach()
        line = f"{epoch} {loss.item().hex()} {random.random().hex()} {numpy.random.rand().hex()}"
        if world == 1:
            line += f" {counts}"  # of parts that ranks do not have alike, all get rank 0's
        if how == "nan" and state.step == end_at:
            with torch.no_grad():
                model[0].weight.fill_(float("nan"))
        state.commit()
        print(state.step, line, flush=True)
        if state.step == end_at:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif how == "term":
                os.kill(os.getpid(), signal.SIGTERM)
            elif how == "raise":
                raise ValueError("bad batch")
            elif how == "group":
                optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(3))], "lr": 0.5})
    if how == "nan" and state.step > end_at:
        raise ValueError("loss is NaN")
    scheduler.step()
    with state.section("eval"):
        random.random()
total = sum(parameter.detach().double().sum() for parameter in model.parameters())
print("end", float(total).hex(), scheduler.get_last_lr(), flush=True)
"""


class Script:
    """Runs the training script in a directory of its own; its identity is in the path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "train.py").write_text(TRAIN)
        self.stderr = ""

    def start(self, *words: object, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        ours = {name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_")}
        return subprocess.Popen(
            [sys.executable, "train.py", *map(str, words)],
            cwd=self.directory,
            env=ours | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: object, code: int = 0, env: Mapping[str, str] | None = None) -> list[str]:
        """The lines that it printed."""
        with self.start(*words, env=env) as process:
            out, self.stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, self.stderr
        return out.splitlines()

    @property
    def snapshots(self) -> Path:
        identity = f"{self.directory / 'train.py'}:{self.directory}"
        return JobDirectory(default_root(), job_key(f"{identity}#rank0")).path

    def checkpoints(self) -> list[tuple[int, str]]:
        entries = CheckpointStore(self.directory / "checkpoints" / "train").entries()
        return [(entry.manifest.step, entry.manifest.cause.kind) for entry in entries]


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    script = Script(tmp_path)
    yield script
    shutil.rmtree(script.snapshots, ignore_errors=True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a run prints that nothing happens to."""
    script = Script(tmp_path_factory.mktemp("straight"))
    lines = script.run(0, 0, "never")
    assert len(lines) == STEPS + 1
    assert not script.snapshots.exists()
    return lines


@pytest.mark.parametrize(("workers", "steps"), [(0, (1, 13, 28)), (2, (6, 7, 20))])
def test_killed_three_times_in_one_run(
    script: Script, straight: list[str], workers: int, steps: tuple[int, ...]
) -> None:
    lines: list[str] = []
    for step in steps:
        lines += script.run(workers, step, "kill", code=-signal.SIGKILL)
    lines += script.run(workers, 0, "never")
    assert lines == straight
    assert f"step {steps[-1]} (epoch {(steps[-1] - 1) // 7}) restored from memory" in script.stderr
    assert not script.snapshots.exists()
    assert script.checkpoints() == []


@pytest.mark.parametrize(
    ("how", "code", "kind"), [("raise", 1, "exception"), ("term", -signal.SIGTERM, "sigterm")]
)
def test_saved_to_disk_and_gone_on_from_there(
    script: Script, straight: list[str], how: str, code: int, kind: str
) -> None:
    lines = script.run(0, 10, how, code=code)
    assert script.checkpoints() == [(10, kind)]
    assert ("ValueError: bad batch" in script.stderr) == (how == "raise")
    shutil.rmtree(script.snapshots)  # a machine that was started anew
    lines += script.run(0, 0, "never")
    assert lines == straight
    assert f"step 10 (epoch 1) restored from checkpoints/train/step-000000010 ({kind})" in script.stderr


def test_memory_is_taken_where_it_is_as_new_as_the_disk(script: Script, straight: list[str]) -> None:
    lines = script.run(0, 10, "raise", code=1)
    assert lines + script.run(0, 0, "never") == straight
    assert "restored from memory" in script.stderr


def test_a_damaged_checkpoint_is_passed_over_and_named(script: Script, straight: list[str]) -> None:
    options = "{'checkpoint_every': 5, 'every': 100}"
    script.run(0, 12, "kill", options, code=-signal.SIGKILL)
    assert script.checkpoints() == [(10, "periodic"), (5, "periodic")]
    shutil.rmtree(script.snapshots)
    file = script.directory / "checkpoints/train/step-000000010/state.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert script.run(0, 0, "never", options) == straight[5:]
    assert "not used: " in script.stderr and "step-000000010: state.safetensors" in script.stderr
    assert script.checkpoints()[0] == (28, "final")


def test_a_finished_run_that_was_saved_has_nothing_to_do(script: Script, straight: list[str]) -> None:
    options = "{'checkpoint_every': 10, 'keep': 2}"
    assert script.run(0, 0, "never", options) == straight
    assert script.checkpoints() == [(28, "final"), (20, "periodic")]
    assert script.run(0, 0, "never", options) == straight[-1:]


def test_nan_replaces_nothing_on_disk(script: Script) -> None:
    script.run(0, 9, "nan", "{'checkpoint_every': 4}", code=1)
    assert script.checkpoints() == [(8, "periodic"), (4, "periodic")]
    assert "NaN or Inf: shared/model/0.weight" in script.stderr


def test_a_state_that_changes_its_form(script: Script) -> None:
    lines = script.run(0, 9, "group", "{'checkpoint_every': 12, 'every': 1}")
    assert len(lines) == STEPS + 1
    assert [step for step, _ in script.checkpoints()] == [28, 24, 12]


def test_two_of_one_script_at_a_time(script: Script, straight: list[str]) -> None:
    first = JobDirectory(script.snapshots.parent, script.snapshots.name)
    first.acquire("another run")
    try:
        assert script.run(0, 0, "never") == straight
        assert "state: no snapshots: " in script.stderr and "belongs to a living agent" in script.stderr
    finally:
        first.remove()


def test_no_room_at_all(script: Script, straight: list[str]) -> None:
    env = {"LAUNCHER_WORKER_SNAPSHOT_MODE": "disk"}  # and no directory on disk
    assert script.run(0, 0, "never", "{'checkpoint_every': 9}", env=env) == straight
    assert "no snapshots of rank 0: no directory on disk was given" in script.stderr
    assert script.checkpoints() == [(28, "final"), (27, "periodic"), (18, "periodic")]


# As the agent has it


class Agent:
    """The directory and the environment that workers get."""

    def __init__(self, script: Script, world: int) -> None:
        self.script, self.world = script, world
        self.directory = JobDirectory(script.directory / "shm", job_key("job"))
        self.directory.acquire("job")
        self.attempt = 0

    def run(
        self, *words: object, codes: tuple[int, ...] = (0,), resume: int | None = None
    ) -> list[list[str]]:
        """What each rank printed."""
        port = _free_port()
        ranks = [
            self.script.start(*words, env=self._environ(rank, port, resume)) for rank in range(self.world)
        ]
        try:
            ends = [rank.communicate(timeout=PATIENCE) for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
        assert all(rank.returncode in codes for rank in ranks), "".join(err for _, err in ends)
        self.script.stderr = ends[0][1]
        self.attempt += 1
        return [out.splitlines() for out, _ in ends]

    def _environ(self, rank: int, port: int, resume: int | None) -> dict[str, str]:
        found = {
            "RANK": rank,
            "WORLD_SIZE": self.world,
            "LOCAL_RANK": rank,
            "LOCAL_WORLD_SIZE": self.world,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_RESTART_COUNT": self.attempt,
            "LAUNCHER_WORKER_SNAPSHOTS": self.directory.path,
            "LAUNCHER_WORKER_CHECKPOINTS": self.script.directory / "saved",
            "LAUNCHER_WORKER_IDENTITY": "job",
            "LAUNCHER_WORKER_JOB": "run-1",
        } | ({"LAUNCHER_WORKER_RESUME_STEP": resume} if resume is not None else {})
        return {name: str(value) for name, value in found.items()}


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_agent_says_which_step(script: Script, straight: list[str]) -> None:
    agent = Agent(script, 1)
    (lines,) = agent.run(0, 9, "kill", codes=(-9,))
    assert agent.directory.ranks() == [0]
    (more,) = agent.run(0, 0, "never", "{'checkpoint_every': 20, 'keep': 1}", resume=9)
    assert lines + more == straight
    assert "step 9 (epoch 1) restored from memory" in script.stderr
    request = agent.directory.path / "save-28"
    assert json.loads(request.read_text()) == {"kind": "final", "keep": 1}
    assert not (script.directory / "saved").exists()  # that is the agent's work


def test_no_word_of_the_agent_is_a_new_beginning(script: Script, straight: list[str]) -> None:
    agent = Agent(script, 1)
    agent.run(0, 9, "kill", codes=(-9,))
    assert agent.run(0, 0, "never") == [straight]
    assert "nothing to resume" in script.stderr


def test_two_ranks_go_on_together(script: Script) -> None:
    straight = Agent(script, 2).run(0, 0, "never")
    assert [len(lines) for lines in straight] == [STEPS + 1] * 2
    shutil.rmtree(script.directory / "shm")
    agent = Agent(script, 2)
    part = agent.run(0, 11, "kill", codes=(-9,))
    assert agent.directory.ranks() == [0, 1]
    rest = agent.run(0, 0, "never", resume=11)
    assert [one + other for one, other in zip(part, rest, strict=True)] == straight
    assert "step 11 (epoch 1) restored from memory" in script.stderr


def test_another_number_of_ranks(script: Script) -> None:
    """Each sample once, though half of the epoch was done by twice as many."""
    agent = Agent(script, 2)
    agent.run(0, 10, "kill", codes=(-9,))
    agent.world = 1
    (lines,) = agent.run(0, 0, "never", resume=10)
    assert len(lines) == STEPS - 10 + 1
    assert "rank 0 has no random state of step 10: seeded anew" in script.stderr


def test_a_rank_whose_memory_is_lost_gets_it_from_another(script: Script) -> None:
    agent = Agent(script, 2)
    straight = agent.run(0, 11, "kill", codes=(-9,))
    agent.directory.segment(1).unlink()
    rest = agent.run(0, 0, "never", resume=11)
    assert [len(lines) for lines in rest] == [STEPS - 11 + 1] * 2
    assert rest[0][-1] == rest[1][-1]  # they have stayed together
    assert all(len(lines) == 11 for lines in straight)


def test_the_drill_tells_all_leaves(script: Script) -> None:
    out = script.directory / "out"
    out.mkdir()
    drill = json.dumps({"stop_at": 9, "kill_at": 5, "out": str(out)})
    env = {"LAUNCHER_WORKER_DRILL": drill}
    assert len(script.run(0, 0, "never", code=-9, env=env)) == 4
    assert len(script.run(0, 0, "never", env=env | {"TORCHELASTIC_RESTART_COUNT": "1"})) == 3
    killed = json.loads((out / "rank-0.json").read_text())
    drill = json.dumps({"stop_at": 9, "kill_at": None, "out": str(out)})
    shutil.rmtree(script.snapshots, ignore_errors=True)
    script.run(0, 0, "never", env={"LAUNCHER_WORKER_DRILL": drill})
    straight = json.loads((out / "rank-0.json").read_text())
    assert killed == straight
    assert killed["step"] == 9
    assert {"shared/model/0.weight", "shared/optimizer/state/0/exp_avg", "rank/rng/torch"} < set(
        killed["leaves"]
    )
