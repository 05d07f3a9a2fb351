"""What all tests share: a launcher that is cleaned up after, and no skip that nobody knows of."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Launcher

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """Starts launchers in an empty directory; afterwards nothing of them may be left, and is killed if so."""
    launcher = Launcher(tmp_path)
    yield launcher
    left = launcher.end()
    assert not left, f"left behind: {left}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not _allowed(item.nodeid):
        report.outcome = "failed"
        report.longrepr = f"skipped, but not listed in {ALLOWED.name}: {report.longrepr}"
    return report


def _allowed(test: str) -> bool:
    lines = (line.split() for line in ALLOWED.read_text().splitlines())
    return any(words and not words[0].startswith("#") and test.startswith(words[0]) for words in lines)
