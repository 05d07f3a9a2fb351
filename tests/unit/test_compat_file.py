"""mox.file, with local paths and with a bucket: the same cases for both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.compat.moxing import auth, file

from ..compat_cases import *  # noqa: F403
from ..s3_stub import stub


@pytest.fixture(params=["local", "obs"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MOX_SILENT_MODE", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if request.param == "local":
        folder = tmp_path / "root"
        folder.mkdir()
        yield str(folder)
        return
    with stub() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        file.make_dirs("obs://bucket/root")
        yield "obs://bucket/root"
    auth.forget()
