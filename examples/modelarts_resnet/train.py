"""ResNet-18 with DDP, as a script for ModelArts' PyTorch engine is written: one process a node.

    launcher --platform modelarts train.py --custom_data true --epochs 1

The platform adds ``--init_method``, ``--rank`` and ``--world_size``, which count nodes. Without a
platform the defaults are one node's, so that ``python train.py --custom_data true`` runs as well.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

HERE = Path(__file__).parent


class Block(nn.Module):
    """Two 3x3 convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.around = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.main(images) + self.around(images))


def resnet18(classes: int = 10) -> nn.Module:
    """For images of 3x32x32."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    width = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(width, outputs, stride), Block(outputs, outputs, 1)]
        width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def random_images(count: int) -> TensorDataset:
    """Two classes of noise: what can be trained anywhere, to see that all is in place."""
    generator = torch.Generator().manual_seed(2021)
    labels = (torch.arange(count) % 2)[torch.randperm(count, generator=generator)]
    return TensorDataset(torch.randn(count, 3, 32, 32, generator=generator), labels)


def cifar10(directory: Path) -> TensorDataset:
    """From ``images.pt`` and ``labels.pt``: uint8 of (N, 3, 32, 32), and int64 of (N,)."""
    images, labels = (
        torch.load(directory / f"{name}.pt", weights_only=True) for name in ("images", "labels")
    )
    return TensorDataset(images.float() / 255, labels)


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--init_method", help="tcp://HOST:PORT of node 0; set by the platform")
    parser.add_argument("--rank", type=int, default=0, help="of this node; set by the platform")
    parser.add_argument("--world_size", type=int, default=1, help="nodes; set by the platform")
    parser.add_argument("--custom_data", default="false", help="true: random images")
    parser.add_argument("--data_url", type=Path, default=HERE / "input_dir")
    parser.add_argument("--output_dir", type=Path, default=HERE / "output_dir")
    parser.add_argument("--enable_gpu", default="true")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--samples", type=int, default=5000, help="of random images")
    known, others = parser.parse_known_args(words)  # platforms may add arguments
    if others:
        print(f"not used: {' '.join(others)}")
    return known


def main() -> None:
    options = read_arguments()
    on_gpu = options.enable_gpu == "true" and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    if options.init_method:
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            init_method=options.init_method,
            rank=options.rank,
            world_size=options.world_size,
        )
    model: nn.Module = resnet18().to(device)
    if options.init_method:
        model = DistributedDataParallel(model)
    images = random_images(options.samples) if options.custom_data == "true" else cifar10(options.data_url)
    sampler = DistributedSampler(images, options.world_size, options.rank)
    batches = DataLoader(images, batch_size=128, sampler=sampler, drop_last=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        total = 0.0
        for inputs, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"train | epoch: {epoch} | loss: {total / max(1, len(batches)):.4f}", flush=True)
        if options.rank == 0:
            torch.save(model.state_dict(), options.output_dir / f"epoch_{epoch}.pth")
    if options.init_method:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
