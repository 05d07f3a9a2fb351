"""What it costs to watch workers: `python -m benchmarks.looking`. Prints one line a figure.

Eight trees of ten processes (three threads each, sixteen the worker) are read as the watchdog does once
a second; steps are counted as a worker does; all stacks are taken once.
"""

import os
import signal
import statistics
import subprocess
import sys
import timeit
from time import monotonic, process_time

from ma_training.agent.bootstrap import Account
from ma_training.agent.telemetry import TelemetryPage
from ma_training.watchdog.collect import Collector, Watched
from ma_training.watchdog.process_tree import tree_of
from ma_training.watchdog.stacks import Subject, take

RANKS = 8
READINGS = 60
STEPS = 20_000
TREE = """
import os, threading, time
sleep = lambda count: [threading.Thread(target=time.sleep, args=(999,)).start() for _ in range(count)]
for _ in range(9):
    if os.fork() == 0:
        sleep(2)
        time.sleep(999)
sleep(15)
print("up", flush=True)
time.sleep(999)
"""


def main() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", TREE], stdout=subprocess.PIPE, start_new_session=True)
        for _ in range(RANKS)
    ]
    page = TelemetryPage(0)
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline()
        reading = statistics.median(_reading([process.pid for process in processes], page) for _ in range(3))
        print(f"evidence, {RANKS} ranks of 10 processes: {reading * 1000:.1f} ms of CPU a reading")
        began = monotonic()
        samples = take(
            [Subject(rank, one.pid, None, tuple(tree_of(one.pid))) for rank, one in enumerate(processes)]
        )
        whole = sum(bool(sample.threads) for sample in samples)
        print(f"stacks of {whole} ranks and their processes: {monotonic() - began:.2f} s")
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    account = Account(os.dup(page.fileno()))
    print(f"a step counted: {min(timeit.repeat(account.step, number=STEPS)) / STEPS * 1e6:.2f} us")


def _reading(pids: list[int], page: TelemetryPage) -> float:
    """Seconds of CPU time."""
    collector = Collector({rank: Watched(pid, page.read) for rank, pid in enumerate(pids)})
    began = process_time()
    for _ in range(READINGS):
        collector.read(monotonic())
    collector.close()
    return (process_time() - began) / READINGS


if __name__ == "__main__":
    main()
