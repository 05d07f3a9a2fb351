# run: --nproc-per-node 3 --max-restarts 0 SCRIPT
# expect: exit 137, rank 1, diagnosis killed
import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group()
model = DistributedDataParallel(torch.nn.Linear(4, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(100):
    if step == 5 and dist.get_rank() == 1:
        os.kill(os.getpid(), 9)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
