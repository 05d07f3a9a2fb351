"""Hangs of every kind: ``hang.py KIND [STEP]``. Rank 1 is the culprit.

Two ranks train a small model with gloo; in the first attempt one of them, or both, hang at STEP.
"""

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import torch
import torch.distributed as dist

FOREVER = 1e6
KIND = sys.argv[1]
STEP = int(sys.argv[2]) if len(sys.argv) > 2 else 150
RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
HANGS = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"


def begins():
    """For whoever measures how soon it is noticed."""
    if path := os.environ.get("ZOO_BEGAN"):
        with open(path, "w") as file:
            file.write(str(time.monotonic()))


def sleep():
    time.sleep(FOREVER)


def busy():
    while True:
        pass


def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)


def gil():
    mutex = ctypes.create_string_buffer(64)
    library = ctypes.PyDLL(None)  # it keeps the lock that all Python code needs
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def lock():
    first, second = threading.Lock(), threading.Lock()
    inside = threading.Event()

    def other():
        with second:
            inside.set()
            with first:
                pass

    with first:
        threading.Thread(target=other, daemon=True).start()
        inside.wait()
        with second:
            pass


def pipe():
    reading, _ = os.pipe()  # as a read from a file server that is gone
    os.read(reading, 1)


def log_writer():
    sink = subprocess.Popen(["sleep", "1000000"], stdin=subprocess.PIPE)
    while True:
        sink.stdin.write(b"a line of the log\n" * 1000)


def skipped():
    dist.barrier()  # the others are in all_reduce


def mismatched():
    dist.all_gather([torch.ones(4) for _ in range(WORLD)], torch.ones(4))


class Samples(torch.utils.data.Dataset):
    """The loader's process never returns from sample STEP."""

    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        if KIND == "loader" and HANGS and RANK == 1 and index == STEP:
            begins()
            time.sleep(FOREVER)
        return torch.ones(4)


def train(steps):
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    state = None
    if os.environ.get("ZOO_STATE"):
        from ma_training.state import TrainingState

        state = TrainingState(model=model, optimizer=optimizer)
    batches = iter(torch.utils.data.DataLoader(Samples(), batch_size=1, num_workers=int(KIND == "loader")))
    for step in range(steps):
        if HANGS and step == STEP and RANK == 1 and KIND in AT_A_STEP:
            begins()
            AT_A_STEP[KIND]()
        loss = model(next(batches)).sum()
        loss.backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
        optimizer.step()
        optimizer.zero_grad()
        if state:
            state.commit()
        time.sleep(0.02)


AT_A_STEP = {
    function.__name__: function
    for function in (sleep, busy, stopped, gil, lock, pipe, log_writer, skipped, mismatched)
}


def main():
    if KIND == "before_init" and HANGS and RANK == 1:
        begins()
        pipe()  # never comes to init_process_group, where the others wait
    dist.init_process_group("gloo")
    if KIND == "atexit" and HANGS and RANK == 1:
        atexit.register(lambda: (begins(), sleep()))
    uneven = KIND == "uneven" and HANGS and RANK != 1
    train(STEP + 20 + uneven)
    if KIND == "uneven" and HANGS and RANK == 1:
        begins()
        pipe()  # its batches are used up; it waits for something else
    if KIND != "atexit":
        dist.barrier()
    print("trained", flush=True)


main()
