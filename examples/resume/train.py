"""A plain training loop that loses nothing: kill it at any time, and start it again.

python examples/resume/train.py              alone
launcher examples/resume/train.py            restarted by itself, whatever ends it

"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ma_training import TrainingState
from ma_training.data import ResumableBatchSampler

EPOCHS, SAMPLES, FEATURES, CLASSES = 20, 4000, 32, 4


def made_up_data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, FEATURES, generator=generator)
    return TensorDataset(inputs, inputs[:, :CLASSES].argmax(1))


def main() -> None:
    torch.manual_seed(0)
    data = made_up_data()
    model = nn.Sequential(
        nn.Linear(FEATURES, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, CLASSES)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    batches = ResumableBatchSampler(data, batch_size=64, seed=2)
    loader = DataLoader(data, batch_sampler=batches)

    state = TrainingState(model=model, optimizer=optimizer, scheduler=scheduler, batches=batches)
    state.restore()
    for epoch in state.epochs(EPOCHS):
        for inputs, labels in loader:
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state.commit()
        scheduler.step()
        print(f"epoch {epoch}, step {state.step}: loss {loss.item():.6f}", flush=True)


if __name__ == "__main__":
    main()
