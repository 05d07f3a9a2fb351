# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis checkpoint-mismatch
import torch

state = torch.nn.Linear(10, 2).state_dict()
torch.nn.Linear(10, 3).load_state_dict(state)
