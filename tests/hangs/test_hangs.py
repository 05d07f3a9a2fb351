"""Every kind of hang, live: noticed, explained, ended, and the job goes on."""

from pathlib import Path

import pytest

from tests.support import Launcher

SCRIPT = Path(__file__).with_name("hang.py")
pytestmark = [pytest.mark.hangs, pytest.mark.timeout(180)]

# kind: ranks, whom the watchdog must name, what it must say of where that one is
KINDS = {
    "sleep": (2, "is asleep at hang.py"),
    "busy": (2, "is busy at hang.py"),
    "stopped": (2, "is stopped"),
    "gil": (2, "in C code that holds the GIL at hang.py"),
    "lock": (2, "waiting for a lock at hang.py"),
    "pipe": (2, "reading at hang.py"),
    "log_writer": (2, "writing what no one takes at hang.py"),
    "loader": (2, "in the data loader at hang.py"),
    "skipped": (3, "barrier"),
    "mismatched": (3, "all_gather"),
    "uneven": (2, "reading at hang.py"),
    "before_init": (2, "reading at hang.py"),
    "atexit": (2, "past the end of its script at hang.py"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hang_is_noticed_explained_and_ended(launcher: Launcher, kind: str) -> None:
    ranks, where = KINDS[kind]
    job = launcher.start("--nproc-per-node", ranks, "--shutdown-timeout", "2s", SCRIPT, kind)
    assert job.wait(150) == 0, job.stderr
    (event,) = job.events("worker.hung")
    assert event.rank == 1, event
    assert where in event.data["explanation"], event.data
    assert "rank 1 hangs" in job.stderr
    assert job.result["restarts"] == 1
    assert job.log(1, 1).endswith("trained\n")


def test_three_hangs_without_progress_end_the_job(launcher: Launcher) -> None:
    launcher.script(
        """
        import os, torch, time
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        for step in range(100):
            optimizer.step()
            time.sleep(0.05)
        time.sleep(1e6)
        """
    )
    job = launcher.start("--max-restarts", "5", "train.py")
    assert job.wait(150) == 77, job.stderr
    assert job.result["reason"] == "3 hangs in a row without progress"
    assert len(job.result["attempts"]) == 3
    assert "train.py:7" in job.stderr
