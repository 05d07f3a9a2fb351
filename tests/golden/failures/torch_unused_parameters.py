# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 1, diagnosis unused-parameters
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

    def forward(self, batch):
        return self.used(batch)


dist.init_process_group()
model = DistributedDataParallel(Model())
for step in range(2):
    time.sleep(60 * step * (1 - dist.get_rank()))  # rank 1 comes to the second step alone
    model(torch.ones(2, 4)).sum().backward()
