"""Leases, checkpoints and outputs on a real server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ..transfer_contract import CONTRACT
from .rgw import Rgw


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(
    check: Callable[..., None], rgw: Rgw, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = rgw.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    check(f"obs://{bucket}/in/here", environ, tmp_path)
