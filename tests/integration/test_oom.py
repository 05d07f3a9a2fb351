"""A worker that the kernel kills for its memory: a real memory cgroup, a real OOM kill."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Launcher

LIMIT = 200 << 20


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup of 200 MB, v1 or v2: the file that a process writes itself into."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    name = f"ma-training-test-{uuid.uuid4().hex[:8]}"
    group = (v1 if v1.exists() else v2) / name
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if v1.exists() else "memory.max")
        limit.write_text(str(LIMIT))
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no memory cgroup of our own: {error}")
    yield group / "cgroup.procs"
    group.rmdir()


def test_out_of_memory_is_said(launcher: Launcher, limited: Path) -> None:
    script = launcher.script(
        """
        import os, time
        if os.environ["RANK"] == "1":
            held = [bytearray(1 << 20) for _ in range(1000)]
        time.sleep(60)
        """
    )
    job = launcher.start(
        "--nproc-per-node",
        2,
        "--max-restarts",
        0,
        script,
        preexec_fn=lambda: limited.write_text(str(os.getpid())),
    )
    assert job.wait() == 137
    failure = job.result["attempts"][0]["failure"]
    assert (failure["rank"], failure["oom"]) == (1, True)
    assert "out of memory" in job.stderr
