"""Nodes that measure the network between them, with a slow one among them: by real transfers."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchers.cli.check_nodes import Party, meet
from launchers.cli.errors import UsageError
from ma_training.agent.ports import HeldPort
from ma_training.job import Cluster
from ma_training.precheck import Finding, Limits, Verdict
from ma_training.testing import FaultProxy

KEY = b"0123456789abcdef0123456789abcdef"
COUNT = 4
SLOW = 3
SIZE = 1 << 20  # bytes
LIMITS = Limits(slower=20.0)  # all share two cores here: what is fast differs by much


class Slowness:
    """A proxy before one node's transfers."""

    def __init__(self) -> None:
        self.proxies: list[FaultProxy] = []

    def __call__(self, address: str, port: int) -> tuple[str, int]:
        proxy = FaultProxy(address, port)
        proxy.throttle(1 << 20)
        self.proxies.append(proxy)
        return proxy.address


@pytest.fixture
def slowness() -> Iterator[Slowness]:
    slowness = Slowness()
    yield slowness
    for proxy in slowness.proxies:
        proxy.close()


def _party(rank: int, port: int, slowness: Slowness | None, key: bytes = KEY, timeout: float = 30.0) -> Party:
    cluster = Cluster(
        COUNT,
        COUNT,
        "127.0.0.1",
        port,
        rank,
        join_timeout=timeout,
        leads=rank == 0,
        bind="127.0.0.1",
        address="127.0.0.1",
    )
    facts = {"name": f"n{rank}", "versions": {}, "settings": {}, "mtu": 1500, "rates": {}}
    through = slowness if rank == SLOW else None
    return Party(cluster, key, "check", rank, COUNT, facts, limits=LIMITS, size=SIZE, through=through)


def _port() -> int:
    held = HeldPort()
    held.close()
    return held.port


def _check(slowness: Slowness | None) -> list[dict[str, Finding]]:
    """What each node has found."""
    port = _port()
    with ThreadPoolExecutor(COUNT) as pool:
        parties = [_party(rank, port, slowness) for rank in range(COUNT)]
        found = list(pool.map(lambda party: asyncio.run(meet(party)), parties))
    return [{finding.check: finding for finding in findings} for findings in found]


def test_the_slow_node_is_named_to_all(slowness: Slowness) -> None:
    for found in _check(slowness):
        network = found["network-pairs"]
        assert network.verdict is Verdict.WARN
        assert network.measured.startswith("node 3 (n3): "), network.measured
        assert "node 2" not in network.measured


def test_all_hear_the_same() -> None:
    first, *others = _check(None)
    assert all(other == first for other in others)
    assert first["same-mtu"].verdict is first["clock-skew"].verdict is Verdict.OK
    assert first["collective"].verdict in (Verdict.OK, Verdict.WARN)


def test_another_token_is_refused() -> None:
    port = _port()
    with ThreadPoolExecutor(2) as pool:
        host = pool.submit(lambda: asyncio.run(meet(_party(0, port, None, timeout=3.0))))
        stranger = _party(1, port, None, b"another key, just as long as that", 20.0)
        with pytest.raises(UsageError, match="does not let this one in"):
            asyncio.run(meet(stranger))
        found = {finding.check: finding for finding in host.result(60)}
    assert found["nodes"].measured == "node 1, 2, 3 of 4 did not come"


def test_no_node_0() -> None:
    (found,) = asyncio.run(meet(_party(1, _port(), None, timeout=1.0)))
    assert found.verdict is Verdict.FAIL and "does not answer" in found.measured
