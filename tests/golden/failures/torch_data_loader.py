# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis data-loader-killed or data-loader-lost
# varies: torch says it in one of seven ways, from wherever its signal handler interrupts
import os

import torch
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        if index == 10:
            os.kill(os.getpid(), 9)  # as the OOM killer does
        return torch.ones(3)


for _ in DataLoader(Images(), num_workers=1):
    pass
