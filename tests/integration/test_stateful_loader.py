"""torchdata's StatefulDataLoader as a part of a training state."""

import signal
from collections import Counter

import pytest

from .test_resume import Script, script

__all__ = ["script"]
pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("torch"), pytest.mark.timeout(600)]
SAMPLES, BATCH, EPOCHS = 22, 4, 3
BATCHES = -(-SAMPLES // BATCH)

TRAIN = f"""
import os, signal, sys, warnings
warnings.filterwarnings("ignore", "'set_vital' is deprecated")  # which torchdata 0.11 calls on import
import torch
from torchdata.stateful_dataloader import StatefulDataLoader
from ma_training import TrainingState

torch.manual_seed(0)
workers, kill_at, own = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "own"
generator = torch.Generator() if own else None
loader = StatefulDataLoader(
    range({SAMPLES}), batch_size={BATCH}, shuffle=True, num_workers=workers, generator=generator
)
model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(1, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
state = TrainingState(model=model, optimizer=optimizer, loader=loader)
state.restore()
for epoch in state.epochs({EPOCHS}):
    if own:
        generator.manual_seed(epoch)
    for batch in loader:
        loss = model(batch[:, None].float()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state.commit()
        print(epoch, loss.item().hex(), *batch.tolist(), flush=True)
        if state.step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
print("end", float(model[1].weight).hex(), flush=True)
"""


@pytest.fixture
def loading(script: Script) -> Script:
    (script.directory / "train.py").write_text(TRAIN)
    return script


def samples(lines: list[str], epoch: int) -> Counter[int]:
    of_epoch = (line.split() for line in lines if line.startswith(f"{epoch} "))
    return Counter(int(sample) for _, _, *batch in of_epoch for sample in batch)


@pytest.mark.parametrize(
    ("workers", "kills"),
    [(0, (2, BATCHES, BATCHES + 3, 2 * BATCHES)), (2, (BATCHES - 1, BATCHES + 2))],
)
def test_each_sample_once_an_epoch_though_killed(
    loading: Script, workers: int, kills: tuple[int, ...]
) -> None:
    """In mid-epoch, and after the last batch of one."""
    lines: list[str] = []
    for kill in kills:
        lines += loading.run(workers, kill, "global", code=-signal.SIGKILL)
    lines += loading.run(workers, 0, "global")
    assert len(lines) == EPOCHS * BATCHES + 1
    for epoch in range(EPOCHS):
        assert samples(lines, epoch) == Counter(range(SAMPLES))
    assert "begins again" not in loading.stderr


def test_with_a_generator_of_its_own_the_losses_are_the_same(loading: Script) -> None:
    """Seeded in each epoch. Else it draws from the global one, once more than in a run that goes through."""
    straight = loading.run(0, 0, "own")
    first = loading.run(0, BATCHES + 3, "own", code=-signal.SIGKILL)
    assert first + loading.run(0, 0, "own") == straight
