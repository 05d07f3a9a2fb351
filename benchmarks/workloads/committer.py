"""``committer.py DIRECTORY WAY``: commits each step, writes down what it has done, and ends as it is told.

DIRECTORY/done has the last step whose optimizer step was made, DIRECTORY/resumed what was restored.
"""

import os
import random
import sys
import time
from pathlib import Path

import torch

from ma_training import TrainingState

OUT, WAY = Path(sys.argv[1]), sys.argv[2]
FATAL, END = random.randint(50, 150), 300


def main() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(512, 512)
    optimizer = torch.optim.AdamW(model.parameters())
    state = TrainingState(model=model, optimizer=optimizer)
    again = state.restore() is not None
    if again:
        (OUT / "resumed").write_text(str(state.step))
        return
    done = os.open(OUT / "done", os.O_WRONLY | os.O_CREAT, 0o600)
    while state.step < END:
        model(torch.randn(64, 512)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        os.pwrite(done, f"{state.step + 1:9}".encode(), 0)
        if WAY == "exception" and state.step + 1 == FATAL:
            raise RuntimeError("as it was told")
        state.commit()
        if state.step == 20:
            (OUT / "ready").write_text(str(os.getpid()))
        if state.step == END - 1:
            time.sleep(60)  # whoever is to kill it has come too late


main()
