"""Handwritten digits with DistributedDataParallel: real data, and a checkpoint to resume from.

A plain PyTorch script: it knows nothing of the launcher, and runs under torchrun as well.

    launcher --nproc-per-node 2 examples/digits_ddp/train.py --output-path digits-output
"""

import argparse
import itertools
import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

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


def save(path: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Whole or not at all: a kill in the middle leaves the previous checkpoint."""
    temporary = path.with_suffix(".tmp")
    torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, temporary)
    os.replace(temporary, path)  # noqa: PTH105  the idiom readers know


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    images, labels = data.tensors
    model.eval()
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=8, help="of each worker")
    parser.add_argument("--save-every", type=int, default=20, help="steps between two checkpoints")
    parser.add_argument("--output-path", type=Path, default=Path("digits-output"))
    args = parser.parse_args()

    dist.init_process_group()
    rank, local_rank = dist.get_rank(), int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    args.output_path.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output_path / "checkpoint.pt"

    torch.manual_seed(0)
    train, test = load_data()
    model = build_model().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    step = resumed = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = resumed = state["step"]
        if rank == 0:
            print(f"resumed at step {step}", flush=True)
    ddp = DistributedDataParallel(model)
    sampler = DistributedSampler(train, seed=0)
    loader = DataLoader(train, args.batch_size, sampler=sampler)

    for epoch in range(step // len(loader), args.epochs):
        sampler.set_epoch(epoch)
        done = step - epoch * len(loader)
        if rank == 0:
            print(f"epoch {epoch + 1} of {args.epochs}, from step {step}", flush=True)
        for images, labels in itertools.islice(loader, done, None):
            loss = nn.functional.cross_entropy(ddp(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if rank == 0 and step % args.save_every == 0:
                save(checkpoint, step, model, optimizer)

    if rank == 0:
        result = {"accuracy": accuracy(model.cpu(), test), "steps": step, "resumed_step": resumed}
        (args.output_path / "result.json").write_text(json.dumps(result))
        print(f"accuracy on {HELD_OUT} held-out digits: {result['accuracy']:.1%}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
