"""Nodes side by side: who differs is named."""

from ma_training.precheck import Limits, Verdict
from ma_training.precheck.comparison import NodeFacts, compare, judge_network, judge_ring

VERSIONS = {"python": "3.11.7", "torch": "2.13.0"}


def _nodes(**of_third: object) -> list[NodeFacts]:
    common = {
        "versions": VERSIONS,
        "settings": {"NCCL_IB_TC": "106"},
        "mtu": 1500,
        "offset": 0.0,
        "rates": {"matmul": 100.0, "memory": 10.0},
    }
    facts = [common | (of_third if rank == 2 else {}) for rank in range(4)]
    return [NodeFacts(rank, f"n{rank}", **each) for rank, each in enumerate(facts)]  # type: ignore[arg-type]


def _bad(nodes: list[NodeFacts]) -> dict[str, str]:
    return {found.check: found.measured for found in compare(nodes, Limits()) if found.bad}


def test_equal_nodes() -> None:
    assert _bad(_nodes()) == {}


def test_packages_settings_and_mtu() -> None:
    assert _bad(_nodes(versions={**VERSIONS, "torch": "2.12.0"})) == {
        "same-packages": "node 2 (n2): torch 2.12.0, elsewhere 2.13.0"
    }
    assert _bad(_nodes(versions={"python": "3.11.7"})) == {
        "same-packages": "node 2 (n2): torch not there, elsewhere 2.13.0"
    }
    assert _bad(_nodes(settings={"NCCL_IB_TC": "106", "NCCL_IB_DISABLE": "1"})) == {
        "same-settings": "node 2 (n2): NCCL_IB_DISABLE 1, elsewhere not there"
    }
    assert "node 2 (n2): 9000" in _bad(_nodes(mtu=9000))["same-mtu"]


def test_clocks_against_the_median() -> None:
    assert _bad(_nodes(offset=-900.0)) == {"clock-skew": "node 2 (n2): -900.0 s"}
    assert _bad(_nodes(offset=0.5)) == {}
    leader_is_off = [NodeFacts(rank, f"n{rank}", offset=0.0 if rank == 0 else 60.0) for rank in range(3)]
    assert _bad(leader_is_off) == {"clock-skew": "node 0 (n0): -60.0 s"}


def test_speed_below_half_of_the_median() -> None:
    assert _bad(_nodes(rates={"matmul": 49.0, "memory": 10.0})) == {
        "matmul-of-all": "node 2 (n2): 49 GFLOP/s"
    }
    assert _bad(_nodes(rates={"matmul": 51.0, "memory": 10.0})) == {}


def test_the_slow_node_is_named() -> None:
    rates = {(0, 1): 100.0, (2, 3): 9.0, (2, 0): 10.0, (3, 1): 100.0}
    found = judge_network(_nodes(), rates, 2.0)
    assert found.verdict is Verdict.WARN
    assert found.measured.startswith("node 2 (n2): 10 MB/s at best")
    dead = judge_network(_nodes(), {**rates, (2, 3): None, (2, 0): None}, 2.0)
    assert dead.verdict is Verdict.FAIL and dead.measured.startswith("node 2 (n2)")
    assert judge_network(_nodes(), {(0, 1): 100.0, (2, 3): 90.0}, 2.0).verdict is Verdict.OK


def test_a_way_between_two_is_named() -> None:
    rates = {(0, 1): 100.0, (2, 3): 9.0, (2, 0): 100.0, (3, 1): 100.0}
    found = judge_network(_nodes(), rates, 2.0)
    assert "node 2 (n2) and node 3 (n3): 9 MB/s" in found.measured


def test_the_ring() -> None:
    assert judge_ring(_nodes(), {0: 50.0, 1: 60.0, 2: 55.0, 3: 50.0}, 2.0).verdict is Verdict.OK
    slow = judge_ring(_nodes(), {0: 50.0, 1: 60.0, 2: 5.0, 3: 50.0}, 2.0)
    assert slow.verdict is Verdict.WARN and "node 2 (n2): 5 MB/s" in slow.measured
    assert judge_ring(_nodes(), {0: 50.0, 1: None, 2: 5.0, 3: 50.0}, 2.0).verdict is Verdict.FAIL
