"""The copier, the launcher, or one after the other are killed at random while they bring and upload.

Whatever is in the store or on the disk under its name is whole, a checkpoint with a manifest is valid, and
what is run again to its end leaves all of it there. ``SOAK=1`` kills 200 times.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from ma_training.checkpoint import Cause, CheckpointState, CheckpointStore, verify, write_checkpoint
from ma_training.snapshot import LeafSpec
from tests.support import Job, Launcher, wait_until

from .test_transfers import copier

KILLS = 200 if os.environ.get("SOAK") == "1" else 20
# Writes files whose names say what is in them: the first byte, as often as the number says. New ones appear
# whole, as is usual; one grows all the time.
SCRIPT = """
import os, pathlib, random, sys, time
for path in pathlib.Path("data").rglob("*"):
    letter, size = path.name.split("-")
    assert path.read_bytes() == letter.encode() * int(size), path
out = pathlib.Path("out")
log = open(out / "growing", "a")
until = time.monotonic() + float(os.environ.get("LAST", 3600))
while time.monotonic() < until:
    letter, size = random.choice("abc"), random.choice([10, 100_000, 9_000_000])
    temporary = out / "new"
    temporary.write_bytes(letter.encode() * size)
    temporary.rename(out / f"{letter}-{size}")
    log.write("x" * 100)
    log.flush()
    time.sleep(0.05)
os.path.exists(out / "new") and os.unlink(out / "new")
"""


def wrong(directory: Path) -> list[str]:
    """What lies there under its name, and is not whole."""
    found = []
    for path in directory.rglob("?-*"):
        letter, size = path.name.split("-")
        if path.is_file() and path.read_bytes() != letter.encode() * int(size):
            found.append(str(path))
    return found


def a_checkpoint(directory: Path, identity: str, step: int) -> None:
    leaf = LeafSpec("shared/x", "U8", (3_000_000,))
    state = CheckpointState(
        "job",
        identity,
        step,
        0,
        1,
        Cause("periodic"),
        {"shared": {}},
        [(leaf, memoryview(bytes(leaf.nbytes)))],
    )
    write_checkpoint(directory, state)


@pytest.mark.timeout(3600 if KILLS > 20 else 300)
def test_random_kills(launcher: Launcher, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for letter in "abc":
        for size in (7, 200_000, 20_000_000):
            (store / "data").mkdir(parents=True, exist_ok=True)
            (store / "data" / f"{letter}-{size}").write_bytes(letter.encode() * size)
    launcher.script(SCRIPT)
    chance, url = random.Random(KILLS), store / "ck"
    words = ("--input", f"{store}/data=data", "--output", f"out={store}/out")
    words += ("--checkpoint-url", str(url), "--log-url", f"{store}/logs", "--name", "train", "train.py")
    checkpoints = tmp_path / "checkpoints"
    job: Job | None = None
    for number in range(KILLS):
        if job is None:
            if chance.random() < 0.3:
                shutil.rmtree(tmp_path / "data", ignore_errors=True)
                shutil.rmtree(checkpoints, ignore_errors=True)
            job = launcher.start("--checkpoint-dir", str(checkpoints), *words, runs=f"runs-{number}")
        a_checkpoint(checkpoints, f"train {url}", 1000 + number)
        time.sleep(chance.uniform(0, 4))  # the moment is what is tested
        job = kill_one(job, launcher, chance.random() < 0.5)
        assert not wrong(store / "out") and not wrong(tmp_path / "data")
        for entry in CheckpointStore(url).entries() + CheckpointStore(checkpoints).entries():
            assert not verify(entry.path, entry.manifest)
    if job is not None:
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    finish(launcher, words, checkpoints, store)


def kill_one(job: Job, launcher: Launcher, all_of_it: bool) -> Job | None:
    """The job, if it goes on."""
    if not all_of_it and (pid := copier(job)):
        os.kill(pid, signal.SIGKILL)
        if job.process.poll() is None:
            return job
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    wait_until(lambda: not launcher.processes(), "the end of all its processes")
    return None


def finish(launcher: Launcher, words: tuple[str, ...], checkpoints: Path, store: Path) -> None:
    wait_until(lambda: not launcher.processes(), "the end of all processes")
    last = launcher.start("--checkpoint-dir", str(checkpoints), *words, runs="runs-last", env={"LAST": "1"})
    assert last.wait(120) == 0, last.stderr
    out, there = launcher.directory / "out", store / "out"
    assert not wrong(there)
    for path in out.iterdir():
        assert (there / path.name).read_bytes() == path.read_bytes()
    newest = CheckpointStore(store / "ck").entries()[0]
    assert newest.manifest.step == 1000 + KILLS - 1
    assert not list(there.glob("**/.ma-training*"))
