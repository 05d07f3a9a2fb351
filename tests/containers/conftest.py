"""Containers for tests: skipped, with the reason, where there can be none."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .podman import Containers, why_not


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    """Starts jobs in containers; afterwards none may be left, and is removed if so."""
    if reason := why_not():
        pytest.skip(reason)
    containers = Containers(tmp_path)
    yield containers
    left = containers.end()
    assert not left, f"left behind: {left}"


@pytest.fixture
def outliving() -> Iterator[Path]:
    """Shared memory that is there for more than one container, as a Pod's volume in memory is."""
    with TemporaryDirectory(dir="/dev/shm", prefix="ma-training-test-") as directory:
        yield Path(directory)
