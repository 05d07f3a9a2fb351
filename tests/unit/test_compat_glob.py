"""glob in a bucket finds what Python's own finds in a folder with the same files."""

import glob as locally
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ma_training.compat.moxing import file

from ..s3_stub import Blob, Stub, stub

NAME = st.text("ab.[", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
PART = st.one_of(NAME, st.sampled_from(["*", "?", "a*", "*b", "[ab]", "[!a]*", ".*", "**"]))
TREE = st.lists(st.lists(NAME, min_size=1, max_size=3).map("/".join), min_size=1, max_size=6, unique=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


def plant(folder: Path, names: list[str]) -> list[str]:
    """The files that a folder can hold together."""
    planted = []
    for name in names:
        path = folder / name
        above = [parent for parent in path.parents if parent.is_relative_to(folder)]
        if path.exists() or any(parent.is_file() for parent in above):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        planted.append(name)
    return planted


@given(TREE, st.lists(PART, min_size=1, max_size=3), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_pythons(
    server: Stub, monkeypatch: pytest.MonkeyPatch, names: list[str], parts: list[str], slash: bool
) -> None:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    pattern = "/".join(parts) + "/" * slash
    with TemporaryDirectory() as folder:
        planted = plant(Path(folder), names)
        base = locally.escape(folder)
        wanted = {os.path.relpath(found, folder) for found in locally.glob(f"{base}/{pattern}")}  # noqa: PTH207
    server.buckets["bucket"] = {f"root/{name}": Blob(b"x", "e", {}) for name in planted}
    found = file.glob(f"obs://bucket/root/{pattern}")
    assert {name.removeprefix("obs://bucket/root/").rstrip("/") for name in found} == wanted
