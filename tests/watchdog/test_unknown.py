"""Devices at rest, by the guide's rule and by MindCluster's."""

import pytest

from ma_training.watchdog import DeviceEvidence, Evidence, Finding, Frame, Hang, RankEvidence, Stack, Watch
from ma_training.watchdog.figures import NPU_ROUND, NPU_ROUNDS
from ma_training.watchdog.unknown import GuideRule, NpuRule


def job(
    at: float, io: float = 0.0, cpu: float = 0.0, *devices: DeviceEvidence, states: str = "SS"
) -> Evidence:
    """``io`` and ``cpu`` are rates; steps cannot be counted."""
    rank = RankEvidence(0, 2, cpu=cpu * at, io=int(io * at), states="SS")
    return Evidence(at, (rank,), devices)


def gpu(percent: float) -> DeviceEvidence:
    return DeviceEvidence(0, "gpu", percent)


def guide(seconds: int, io: float, *percents: float) -> str:
    rule = GuideRule()
    for at in range(seconds):
        rule.update(job(at, io, 0.0, gpu(percents[at % len(percents)])), at)
    return rule.rests()


def test_the_guides_two_stages() -> None:
    assert guide(90, 1e3, 0.0, 1.0) == ("no IO for 80 s, and all devices at rest for 60 s (median, variance)")
    assert not guide(90, 1e6, 0.0)  # stage one: IO
    assert not guide(90, 1e3, 40.0, 60.0)  # stage two: it varies
    assert not guide(90, 1e3, 99.0)  # fully used: a sign of neither
    assert not guide(25, 1e3, 0.0)  # not long enough


def test_no_device_says_nothing() -> None:
    rule = GuideRule()
    for at in range(200):
        rule.update(job(at), at)
    assert not rule.rests()


def npu(at: float, aicore: float = 1.0, growth: float = 0.0, packets: float = 0.0) -> DeviceEvidence:
    return DeviceEvidence(0, "npu", aicore, int(1e9 + growth * at), None, int(packets * at))


FIVE = int(NPU_ROUND * NPU_ROUNDS) + 10


@pytest.mark.parametrize(
    ("seconds", "cpu", "npu_does", "rests"),
    [
        (FIVE, 0.05, {}, True),
        (FIVE - 20, 0.05, {}, False),
        (FIVE, 0.05, {"aicore": 5.0}, False),
        (FIVE, 0.05, {"growth": 100.0}, False),
        (FIVE, 0.05, {"packets": 1.5}, True),
        (FIVE, 0.05, {"packets": 2.0}, False),
        (FIVE, 0.09, {}, False),
    ],
)
def test_mindclusters_five_rounds(seconds: int, cpu: float, npu_does: dict[str, float], rests: bool) -> None:
    rule = NpuRule()
    for at in range(seconds):
        rule.update(job(at, 0.0, cpu, npu(at, **npu_does)), at)
    assert bool(rule.rests()) == rests


def test_a_round_with_work_begins_the_count_anew() -> None:
    rule = NpuRule()
    for at in range(2 * FIVE):
        rule.update(job(at, 0.0, 0.0, npu(at, 90.0 if at == FIVE // 2 else 1.0)), at)
    assert rule.rests().startswith("7 rounds")  # of ten


def watched(seconds: int, *frames: Frame, **rates: float) -> list[tuple[int, Finding]]:
    """A job without steps for so long; a device uses ``percent``. The stack, if any, stays the same."""
    watch, found = Watch(), []
    percent = rates.get("percent")
    for at in range(seconds):
        devices = () if percent is None else (gpu(percent + (at % 2) * rates.get("varies", 0.0)),)
        observed = watch.observe(job(at, rates.get("io", 0.0), rates.get("cpu", 0.0), *devices))
        if frames and watch.stacks_due is not None and watch.stacks_due <= at:
            observed += watch.stacks(at + 0.1, [Stack(0, frames, False)])
        found += [(at, finding) for finding in observed if isinstance(finding, Hang)]
    return found


PLACE = Frame("run", "/job/main.py", 3)


def test_all_flat_and_the_same_stack() -> None:
    ((at, _),) = watched(300, PLACE)
    assert 90 <= at <= 120


def test_all_flat_and_no_stack() -> None:
    ((at, _),) = watched(300)
    assert 100 <= at <= 120


def test_the_guides_rule_confirms_what_no_one_can_look_at() -> None:
    # 6 % of a core: not flat by our own measure, at rest by that of MindCluster.
    ((at, hang),) = watched(300, cpu=0.06, percent=0.0)
    assert at <= 120
    assert isinstance(hang, Hang) and "all devices at rest" in hang.evidence[1]
    assert not watched(300, cpu=0.06)


@pytest.mark.parametrize(
    "rates",
    [
        {"cpu": 0.9},
        {"io": 1e6},
        {"percent": 60.0},  # a graph that runs on the device while the host sleeps
        {"percent": 96.0, "varies": 4.0},
        {"percent": 99.0},
    ],
)
def test_work_of_any_kind_is_not_a_hang(rates: dict[str, float]) -> None:
    assert not watched(400, PLACE, **rates)
