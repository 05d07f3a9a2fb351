"""The kernel's own log, written to and read back."""

import os
import time
from pathlib import Path

import pytest

from ma_training.diagnosis import kernel_lines


def test_lines_about_a_process_are_found(tmp_path: Path) -> None:
    pid = 2**22 + os.getpid()  # above any real one
    began = time.monotonic()
    try:
        Path("/dev/kmsg").write_text(f"<6>ma-training test: Killed process {pid} (python) total-vm:1kB\n")
    except OSError as error:
        pytest.skip(f"the kernel's log cannot be written: {error}")
    (line,) = kernel_lines([pid], began)
    assert f"Killed process {pid}" in line
    assert kernel_lines([pid], began + 3600) == []
    assert kernel_lines([pid + 1], began) == []
    assert kernel_lines([pid], began, tmp_path / "missing") == []
