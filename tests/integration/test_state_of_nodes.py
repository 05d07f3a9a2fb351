"""Training state of several nodes: whatever ends one of them, all go on from a step that all of them have."""

import shutil
from collections.abc import Iterator

import pytest

from ma_training.checkpoint import CheckpointStore
from ma_training.snapshot import default_root, job_key
from tests.support import Job, wait_until

from .test_many_nodes import Nodes, lines, nodes, wait_for
from .test_resume import STEPS, TRAIN

__all__ = ["nodes"]
pytestmark = [
    pytest.mark.nodes,
    pytest.mark.torch,
    pytest.mark.xdist_group("torch"),
    pytest.mark.timeout(600),
]
END = 90.0  # seconds: far beyond what a job here takes

HEAD = """
import glob, os, sys, time
import torch.distributed as dist
sys.argv[1:] = ["0", "0", "never"]
rank, attempt = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
def wait_for(pattern):
    while not glob.glob(pattern):
        time.sleep(0.01)
"""
COMMIT, PRINT = "        state.commit()\n", "        print(state.step, line, flush=True)\n"
RESTORE = "state.restore()\n"
# Of three summands the order matters, and in its first step DDP has another one than in those that follow.
IN_ORDER = (
    ("torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model", "model"),
    (
        "        optimizer.step()\n",
        "        [dist.all_reduce(one.grad) for one in model.parameters()]\n        optimizer.step()\n",
    ),
)
PLAIN = ("torch.nn.Dropout(0.3)", "torch.nn.Dropout(0.0)")  # no random numbers that a rank has for itself


def script(*changes: tuple[str, str]) -> str:
    text = TRAIN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return HEAD + text


def after_print(code: str) -> tuple[str, str]:
    return PRINT, f"{PRINT}        {code}\n"


def before_restore(code: str) -> tuple[str, str]:
    return RESTORE, f"{code}\n{RESTORE}"


def steps(job: Job, rank: int) -> dict[str, str]:
    """What a rank printed last of each step, and at the end."""
    found = (line.partition(" ") for line in lines(job, rank).splitlines())
    return {step: rest for step, _, rest in found if step.isdigit() or step == "end"}


def losses(found: dict[str, str]) -> dict[str, str]:
    """Without the random numbers beside them."""
    return {step: rest if step == "end" else rest.split()[1] for step, rest in found.items()}


def said(job: Job, rank: int) -> str:
    """On its stderr."""
    return "".join(path.read_text() for path in sorted(job._runs.glob(f"*/attempt-*/*-rank{rank}.err.log")))


@pytest.fixture
def trained(nodes: Nodes) -> Iterator[Nodes]:
    yield nodes
    for runs in nodes.launcher.directory.glob("runs*"):  # of launchers that were killed
        place = default_root() / job_key(f"train {runs / 'checkpoints' / 'train'}#0")
        shutil.rmtree(place, ignore_errors=True)


_straight: dict[tuple[int, bool], list[dict[str, str]]] = {}


def straight(nodes: Nodes, count: int, *changes: tuple[str, str]) -> list[dict[str, str]]:
    """What each rank prints of a job that nothing happens to."""
    if (count, bool(changes)) not in _straight:
        nodes.launcher.script(script(*changes))
        jobs = [nodes.start(node, "--nnodes", str(count), name=f"straight{node}") for node in range(count)]
        assert [job.wait(END) for job in jobs] == [0] * count, jobs[0].stderr
        _straight[count, bool(changes)] = [steps(job, rank) for rank, job in enumerate(jobs)]
    found = _straight[count, bool(changes)]
    assert all(len(of_rank) > STEPS for of_rank in found)  # and the line at the end
    return found


def differences(found: dict[str, str], expected: dict[str, str]) -> list[tuple[str, str | None, str | None]]:
    """A worker may be ended between the commit of step 11 and the line that tells it."""
    steps = sorted(found.keys() | expected.keys() - {"11"})
    return [
        (step, found.get(step), expected.get(step)) for step in steps if found.get(step) != expected.get(step)
    ]


def test_a_killed_worker_of_one_node_costs_no_bit(trained: Nodes) -> None:
    count = 3
    expected = straight(trained, count, *IN_ORDER)
    kill = f"if attempt == 0 and rank == {count - 1} and state.step == 11: os.kill(os.getpid(), 9)"
    trained.launcher.script(script(*IN_ORDER, after_print(kill)))
    jobs = trained.start_all(count)
    for rank, job in enumerate(jobs):
        assert job.wait(END) == 0, job.stderr
        assert differences(steps(job, rank), expected[rank]) == []
        assert "seeded anew" not in said(job, rank)  # nobody was seeded anew
    assert "restored from memory" in said(jobs[0], 0)


def test_the_step_that_all_have_is_taken_though_one_node_has_saved_a_newer_one(trained: Nodes) -> None:
    """Node 0 commits step 11 and saves it; node 1 is killed just before it commits. What node 0 has saved
    lacks the random numbers of node 1, which has them of step 10 only."""
    expected = straight(trained, 2)
    kill = "if attempt == 0 and rank == 1 and state.step == 10: wait_for('at-11'); os.kill(os.getpid(), 9)"
    mark = "if attempt == 0 and rank == 0 and state.step == 11: open('at-11', 'w').close(); time.sleep(60)"
    wait = "if attempt: wait_for('runs0/checkpoints/train/step-000000011/manifest.json')"
    trained.launcher.script(
        script((COMMIT, f"        {kill}\n{COMMIT}        {mark}\n"), before_restore(wait))
    )
    jobs = trained.start_all(2)
    for rank, job in enumerate(jobs):
        assert job.wait(END) == 0, job.stderr
        assert differences(steps(job, rank), expected[rank]) == []
    assert "step 10 (epoch 1) restored from memory" in said(jobs[0], 0)
    (saved,) = jobs[0].events("checkpoint.saved")
    assert saved.data["step"] == 11


def test_a_node_that_has_lost_its_state_is_given_it(trained: Nodes) -> None:
    expected, lost = straight(trained, 2, PLAIN), 1
    kill = "if attempt == 0 and rank == 0 and state.step == 11: os.kill(os.getpid(), 9)"
    lose = (
        f"if attempt == 1 and rank == {lost}: "
        f"os.unlink(os.environ['LAUNCHER_WORKER_SNAPSHOTS'] + '/rank-{lost}.snap')"
    )
    trained.launcher.script(script(PLAIN, after_print(kill), before_restore(lose)))
    jobs = trained.start_all(2)
    for rank, job in enumerate(jobs):
        assert job.wait(END) == 0, job.stderr
        assert differences(losses(steps(job, rank)), losses(expected[rank])) == []
    assert "step 11 (epoch 1) restored from memory" in said(jobs[0], 0)
    assert f"rank {lost} has no random state of step 11: seeded anew" in said(jobs[lost], lost)


def test_a_spare_that_takes_a_lost_nodes_place_is_given_the_state(trained: Nodes) -> None:
    expected = straight(trained, 2, PLAIN)
    hold = "while attempt == 0 and state.step == 11: print('holds', flush=True); time.sleep(0.1)"
    trained.launcher.script(script(PLAIN, after_print(hold)))
    trained.options = ["--nnodes", "2", "--spare-nodes", "1"]
    first, second = trained.start(0), trained.start(1)
    for rank, job in enumerate((first, second)):
        wait_for(job, rank, "holds")
    spare = trained.start(2, ranked=False)
    wait_until(lambda: spare._runs.exists() and list(spare._runs.iterdir()), "the spare to join")
    second.process.kill()
    assert first.wait(END) == 0, first.stderr
    assert spare.wait(END) == 0, spare.stderr
    second.wait()
    assert differences(losses(steps(first, 0)), losses(expected[0])) == []
    later = {step: loss for step, loss in losses(expected[1]).items() if step == "end" or int(step) > 11}
    assert losses(steps(spare, 1)) == later
    assert "step 11 (epoch 1) restored from memory" in said(first, 0)


def test_what_is_saved_of_several_nodes_is_whole(trained: Nodes) -> None:
    """It has all that ranks have alike, and what the ranks of the first node have for themselves."""
    raises = "if state.step == 11: wait_for('never') if rank else None; raise ValueError('bad batch')"
    trained.launcher.script(script(after_print(raises)))
    for job in trained.start_all(2, "--max-restarts", "0"):
        assert job.wait(END) == 1, job.stderr
    root = trained.launcher.directory / "runs0" / "checkpoints" / "train"
    entry, rejected = CheckpointStore(root).newest_valid()
    assert entry is not None and not rejected
    assert (entry.manifest.step, entry.manifest.cause.kind) == (11, "exception")
    assert (entry.manifest.world_size, list(entry.manifest.ranks)) == (2, [0])
