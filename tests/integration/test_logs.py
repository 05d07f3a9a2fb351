"""Output of any kind and amount: whole in its file, and in nobody's way."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ma_training.agent.log_rotation import BLOCK, rotate
from tests.support import Launcher, wait_until


def test_a_line_of_100_mb(launcher: Launcher) -> None:
    script = launcher.script("import sys; sys.stdout.write('x' * 100_000_000); print('END')")
    job = launcher.start(
        "--nproc-per-node", 2, "--local-ranks-filter", "0,1", script, stdout=subprocess.DEVNULL
    )
    peak = 0
    while job.process.poll() is None:
        peak = max(peak, _resident(job.pid))
    assert job.wait() == 0
    assert (job.run / "attempt-0/node0-rank1.log").stat().st_size == 100_000_004
    assert 0 < peak < 60 << 20


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


def test_noise_and_colours_pass_through(launcher: Launcher) -> None:
    noise = bytes(range(256)) * 4 + b"\x1b[31mred\x1b[0m\n"
    (launcher.directory / "noise").write_bytes(noise)
    job = launcher.run("--no-python", "cat", "noise")
    assert (job.run / "attempt-0/node0-rank0.log").read_bytes() == noise


def test_a_prompt_without_a_newline_is_shown(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import os, sys, time
        sys.stdout.write("continue? ")
        sys.stdout.flush()
        while not os.path.exists("answered"):
            time.sleep(0.01)
        print("yes")
        """
    )
    job = launcher.start("--nproc-per-node", 2, "--local-ranks-filter", "0,1", script)
    assert job.process.stdout is not None
    output = job.process.stdout.fileno()
    seen = b""
    while seen.count(b"continue?") < 2:  # ends with the launcher, should they never come
        data = os.read(output, 4096)
        assert data, seen
        seen += data
    (launcher.directory / "answered").touch()
    assert job.wait() == 0


def test_lines_of_ranks_do_not_mix(launcher: Launcher) -> None:
    script = launcher.script(
        "import os\nfor n in range(3000): print(os.environ['RANK'] * 50, flush=n % 7 == 0)"
    )
    job = launcher.run("--nproc-per-node", 4, "--local-ranks-filter", "0,1,2,3", script)
    lines = job.stdout.splitlines()
    assert len(lines) == 12000
    assert set(lines) == {f"node0:{rank} | {str(rank) * 50}" for rank in range(4)}


def test_a_flood_is_rotated(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import os, time
        written = 0
        while not os.path.exists("end"):
            written += os.write(1, b"%09d\\n" % (written // 10) * 1)
            if written % 1_000_000 == 0:
                time.sleep(0.01)
        open("written", "w").write(str(written))
        """
    )
    job = launcher.start("--log-limit", "4M", script, stdout=subprocess.DEVNULL)
    wait_until(lambda: job.events("log.rotated"), "the rotation")
    (launcher.directory / "end").touch()
    assert job.wait() == 0
    assert "has reached 4 MiB" in job.stderr
    log = job.run / "attempt-0/node0-rank0.log"
    assert "launcher: this log reached" in log.read_text()
    earlier = log.with_name(log.name + ".1").read_text().splitlines()
    assert earlier[:2] == ["000000000", "000000001"] or len(job.events("log.rotated")) > 1


@pytest.mark.parametrize("where", ["disk", "/dev/shm"])
def test_nothing_is_lost_by_rotation(tmp_path: Path, where: str) -> None:
    directory = tmp_path if where == "disk" else Path(where) / f"ma-training-test-{os.getpid()}"
    directory.mkdir(exist_ok=True)
    try:
        log = directory / "rank0.log"
        numbered = b"".join(b"%07d\n" % number for number in range(40_000))
        log.write_bytes(numbered)
        taken = rotate(log, BLOCK)
        left = log.read_bytes().replace(
            b"\nlauncher: this log reached 320000 bytes; what came before is in rank0.log.1\n", b""
        )
        assert (directory / "rank0.log.1").read_bytes()[:taken] + left == numbered
        assert rotate(log, 1 << 30) == 0
    finally:
        if where != "disk":
            shutil.rmtree(directory)


def test_a_log_directory_that_is_lost(launcher: Launcher) -> None:
    """In mid-run, between two attempts: the job goes on, with one warning."""
    script = launcher.script(
        """
        import os, pathlib, shutil
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == "0":
            shutil.rmtree("logs")
            pathlib.Path("logs").write_text("a file now")
            os._exit(1)
        print("trained")
        pathlib.Path(f"done-{os.environ['RANK']}").touch()
        """
    )
    job = launcher.run("--nproc-per-node", 2, "--log-dir", "logs", script)
    assert job.process.returncode == 0
    assert job.stderr.count("cannot open the log of rank") == 1
    assert (launcher.directory / "done-0").exists()


def test_the_tail_of_a_rank_that_was_not_shown(launcher: Launcher) -> None:
    script = launcher.script(
        """
        import os, time
        if os.environ["RANK"] == "1":
            print("the last word", flush=True)
            os._exit(9)
        time.sleep(60)
        """
    )
    job = launcher.run("--nproc-per-node", 2, "--max-restarts", 0, script)
    assert "| the last word" in job.stderr
