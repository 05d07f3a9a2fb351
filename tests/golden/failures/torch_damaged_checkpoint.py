# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis checkpoint-cut-short
import torch

torch.save(torch.nn.Linear(100, 100).state_dict(), "model.pt")
with open("model.pt", "rb+") as file:
    file.truncate(20_000)  # a save that was cut short
torch.load("model.pt", weights_only=True)
