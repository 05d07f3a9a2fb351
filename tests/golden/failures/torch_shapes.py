# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis shapes
import torch

model = torch.nn.Linear(10, 2)
model(torch.ones(4, 8))
