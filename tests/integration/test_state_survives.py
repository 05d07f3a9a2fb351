"""Workers, agents, or both are killed at random moments while they commit: nothing is torn, nothing is lost.

``SOAK=1`` kills 500 times.
"""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from ma_training.snapshot import default_root, job_key
from tests.support import Job, Launcher, wait_until

KILLS = 500 if os.environ.get("SOAK") else 25
RANKS = 2
# Commits as fast as it can. A state's bytes all say which step it is of.
SCRIPT = """
import json, os
from pathlib import Path
from ma_training.snapshot import LeafSpec, Schema, Segment

rank = int(os.environ["RANK"])
path = Path(os.environ["LAUNCHER_WORKER_SNAPSHOTS"]) / f"rank-{rank}.snap"
resume = int(os.environ.get("LAUNCHER_WORKER_RESUME_STEP", "0"))
schema = Schema((LeafSpec("shared/model", "U8", (300_000,)),))
segment = Segment.open(path) if path.exists() else Segment.create(path, schema, slots=3, rank=rank)
if resume:
    (state,) = [state for state in segment.states() if state.step == resume]
    whole = bytes(state.leaf("shared/model")) == bytes([resume % 251]) * 300_000
    with open(f"resumed-{rank}", "a") as file:
        file.write(f"{resume} {'whole' if whole else 'torn'}\\n")
committed = os.open(f"committed-{rank}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
step = resume
while True:
    peer = Path(f"step-{1 - rank}")  # ranks of a group are never more than a step apart
    while step - int(peer.read_text() or 0 if peer.exists() else 0) > 0 and step > resume:
        pass
    step += 1
    slot = segment.begin(step)
    slot.data[:] = bytes([step % 251]) * len(slot.data)
    stamp = {"step": step, "world_size": 2}
    slot.publish(json.dumps({"stamp": stamp, "shared": {"x": 1}, "rank": {}}).encode())
    os.write(committed, f"{step}\\n".encode())
    temporary = Path(f".step-{rank}")
    temporary.write_text(str(step))
    temporary.rename(f"step-{rank}")
"""


class Ranks:
    """What they have written about themselves."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.resumptions = 0

    def committed(self, rank: int) -> int:
        lines = self._read(f"committed-{rank}").split("\n")[:-1]
        return int(lines[-1]) if lines else 0

    @property
    def least(self) -> int:
        return min(self.committed(rank) for rank in range(RANKS))

    def wait(self, steps: int) -> None:
        goal = self.least + steps
        wait_until(lambda: self.least >= goal, f"step {goal}")

    def check(self, least: int) -> None:
        """Both have begun again, with one whole state, that is no older than step ``least``."""
        index, files = self.resumptions, [f"resumed-{rank}" for rank in range(RANKS)]
        wait_until(lambda: all(self._read(file).count("\n") > index for file in files), "both to resume")
        first, second = (self._read(file).splitlines()[index] for file in files)
        assert first == second, f"rank 0 resumed at {first}, rank 1 at {second}"
        step, state = first.split()
        assert state == "whole", f"a torn state of step {step}"
        assert int(step) >= least, f"resumed at {step}: both had committed {least}"
        self.resumptions += 1

    def _read(self, name: str) -> str:
        path = self._directory / name
        return path.read_text() if path.exists() else ""


@pytest.mark.timeout(3600 if KILLS > 25 else 240)
def test_random_kills(launcher: Launcher) -> None:
    launcher.script(SCRIPT)
    ranks, chance, least = Ranks(launcher.directory), random.Random("kills"), 0
    place = default_root() / job_key(f"train {launcher.directory / 'kept'}#0")
    try:
        for number in range(KILLS):
            job = _start(launcher, number)
            if number:
                ranks.check(least)
            ranks.wait(chance.randint(1, 40))
            kind = chance.choice(["worker", "agent", "both"])
            if kind != "agent":
                os.kill(job.worker_pid(chance.randrange(RANKS)), signal.SIGKILL)
            if kind == "worker":
                ranks.check(ranks.least)
                ranks.wait(chance.randint(1, 20))
            os.kill(job.pid, signal.SIGKILL)
            job.wait()
            wait_until(lambda: not launcher.processes(), "its workers to be gone")
            least = ranks.least
    finally:
        shutil.rmtree(place, ignore_errors=True)
    assert ranks.resumptions >= KILLS - 1


def _start(launcher: Launcher, number: int) -> Job:
    words = ("--nproc-per-node", "2", "--max-restarts", "1", "--checkpoint-dir", "kept", "train.py")
    return launcher.start(*words, runs=f"runs-{number}")
