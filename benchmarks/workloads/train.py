"""A small model trained with DistributedDataParallel on the CPU.

``train.py DIRECTORY STEPS``, and with a third argument N, rank 1 kills itself at step N of attempt 0.
"""

import os
import signal
import sys

import torch
import torch.distributed as dist
from record import ATTEMPT, RANK, record
from torch import nn
from torch.nn.parallel import DistributedDataParallel

OUT, STEPS = sys.argv[1], int(sys.argv[2])
FATAL_STEP = int(sys.argv[3]) if len(sys.argv) > 3 and ATTEMPT == 0 and RANK == 1 else None
BATCH, WIDTH = 128, 512


def main():
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)]
    model = DistributedDataParallel(nn.Sequential(*layers))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(STEPS):
        if step == FATAL_STEP:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = nn.functional.cross_entropy(model(torch.randn(BATCH, WIDTH)), torch.randint(10, (BATCH,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dist.destroy_process_group()
    record(OUT, "done", STEPS)


main()
