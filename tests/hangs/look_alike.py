"""What looks like a hang and is none: ``look_alike.py KIND``. Quiet for longer than a usual step allows."""

import gc
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

KIND = sys.argv[1]
RANK = int(os.environ["RANK"])
WORK = Path(os.environ["ZOO_DIRECTORY"])
QUIET = float(os.environ.get("ZOO_QUIET", "14"))  # seconds, of what is busy; sleeps are shorter
STEPS, QUIET_AT = 180, (60, 120)


def busy(seconds):
    """Works as an evaluation does, here and there in the code."""
    model, until = (
        torch.nn.Sequential(*[torch.nn.Linear(256, 256) for _ in range(8)]),
        time.monotonic() + seconds,
    )
    with torch.no_grad():
        while time.monotonic() < until:
            model(torch.randn(64, 256)).softmax(-1).argmax(-1).sum().item()


def evaluation():
    busy(QUIET)


def compile():
    """As a compiler that another process runs."""
    program = (
        f"import time\nuntil = time.monotonic() + {QUIET}\nwhile time.monotonic() < until: sum(range(1000))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def write(path, seconds):
    until = time.monotonic() + seconds
    with path.open("wb") as file:
        while time.monotonic() < until:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.05)
            if file.tell() > 200 << 20:
                file.seek(0)
    path.unlink()


def checkpoint():
    write(WORK / f"checkpoint-{RANK}", QUIET)


def rank_0_saves():
    if RANK == 0:
        checkpoint()
    dist.barrier()


def collection():
    """A pause of the garbage collector: some seconds of C code that lets nothing else run."""
    until, rings = time.monotonic() + 6, [[] for _ in range(1_500_000)]
    for ring in rings:
        ring.append(rings)
    while time.monotonic() < until:
        gc.collect()


def copy():
    source = WORK / f"source-{RANK}"
    source.write_bytes(bytes(100 << 20))
    until = time.monotonic() + QUIET
    while time.monotonic() < until:
        shutil.copyfile(source, WORK / f"copy-{RANK}")


def pause():
    time.sleep(7)  # between epochs


def nothing():
    pass


ONCE = {"evaluation": evaluation, "compile": compile, "checkpoint": checkpoint, "rank_0_saves": rank_0_saves}
ONCE |= {"collection": collection, "copy": copy, "pause": pause}


def seconds_of(step):
    if KIND == "bursty":
        return 3.5 if step % 45 == 44 else 0.0
    if KIND == "growing":
        return 0.3 * 3 ** (step / STEPS) if step > 20 else 0.1
    return 0.05 if KIND != "stopped" else 0.3


def main():
    dist.init_process_group("gloo")
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    if KIND == "first_step":
        busy(QUIET)
    for step in range(STEPS):
        if step in QUIET_AT:
            ONCE.get(KIND, nothing)()
        model(torch.ones(4)).sum().backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
        optimizer.step()
        optimizer.zero_grad()
        if step == 10:
            (WORK / f"training-{RANK}").touch()
        time.sleep(seconds_of(step))
    dist.barrier()
    print("trained", flush=True)


main()
