"""Real transfers, and a network that is slow or gone."""

import secrets
from collections.abc import Iterator

import pytest

from ma_training.precheck.transfer import WORD, TransferServer, measure
from ma_training.testing import FaultProxy

SIZE = 4 << 20


@pytest.fixture
def word() -> bytes:
    return secrets.token_bytes(WORD)


@pytest.fixture
def server(word: bytes) -> Iterator[TransferServer]:
    server = TransferServer(word, "127.0.0.1")
    yield server
    server.close()


def test_a_transfer(server: TransferServer, word: bytes) -> None:
    rate = measure(("127.0.0.1", server.port), word, SIZE, 30.0)
    assert rate is not None and rate > 0


@pytest.mark.parametrize("direction", ["to_server", "to_client"])
def test_a_slow_way_in_either_direction(server: TransferServer, word: bytes, direction: str) -> None:
    proxy = FaultProxy("127.0.0.1", server.port)
    try:
        proxy.throttle(4 << 20, direction)  # type: ignore[arg-type]
        rate = measure(proxy.address, word, SIZE, 60.0)
        assert rate is not None and rate < 20  # MB/s; without the proxy it is hundreds
    finally:
        proxy.close()


def test_the_wrong_word(server: TransferServer) -> None:
    assert measure(("127.0.0.1", server.port), secrets.token_bytes(WORD), SIZE, 10.0) is None


def test_no_one_there(server: TransferServer, word: bytes) -> None:
    port = server.port
    server.close()
    assert measure(("127.0.0.1", port), word, SIZE, 5.0) is None
