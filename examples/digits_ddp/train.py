"""Handwritten digits with DistributedDataParallel: real data, and a state that outlives its workers.

    launcher --nproc-per-node 2 examples/digits_ddp/train.py --output-path digits-output

Killed in any way, it goes on from the last step; without the launcher (torchrun, plain python) as well.
"""

import argparse
import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from ma_training import TrainingState
from ma_training.data import ResumableBatchSampler

HELD_OUT = 360  # of 1,797 images: never trained on


def load_data() -> tuple[TensorDataset, TensorDataset]:
    """Images as (n, 1, 8, 8) floats from 0 to 1, labels as (n,) integers; the same split everywhere."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[HELD_OUT:], order[:HELD_OUT]
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    images, labels = data.tensors
    model.eval()
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=8, help="of each worker")
    parser.add_argument("--output-path", type=Path, default=Path("digits-output"))
    args = parser.parse_args()

    dist.init_process_group()
    rank, local_rank = dist.get_rank(), int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    torch.manual_seed(0)
    train, test = load_data()
    model = build_model().to(device)
    ddp = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batches = ResumableBatchSampler(train, batch_size=args.batch_size, seed=0)
    loader = DataLoader(train, batch_sampler=batches)

    state = TrainingState(model=model, optimizer=optimizer, batches=batches)
    state.restore()
    resumed = state.step
    for epoch in state.epochs(args.epochs):
        if rank == 0:
            print(f"epoch {epoch + 1} of {args.epochs}, from step {state.step}", flush=True)
        for images, labels in loader:
            loss = nn.functional.cross_entropy(ddp(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state.commit()

    if rank == 0:
        args.output_path.mkdir(parents=True, exist_ok=True)
        result = {"accuracy": accuracy(model.cpu(), test), "steps": state.step, "resumed_step": resumed}
        (args.output_path / "result.json").write_text(json.dumps(result))
        print(f"accuracy on {HELD_OUT} held-out digits: {result['accuracy']:.1%}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
