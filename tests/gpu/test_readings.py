"""On a machine with NVIDIA GPUs: what we read agrees with what nvidia-smi says."""

import shutil

import pytest

from ma_training.devices.asking import Asking
from ma_training.devices.nvml import read_gpus, read_gpus_by_smi
from ma_training.precheck import Surroundings, Verdict, choose, run_checks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs an NVIDIA GPU"),
]
MEMORY = 64 << 20  # bytes by which two readings of an idle GPU may differ
POWER = 60.0  # watts, likewise


def test_nvml_agrees_with_nvidia_smi() -> None:
    pytest.importorskip("pynvml")
    ours, theirs = read_gpus(), read_gpus_by_smi()
    assert [one.index for one in ours] == [one.index for one in theirs] != []
    for one, other in zip(ours, theirs, strict=True):
        assert one.memory is not None and other.memory is not None
        # NVML's first version counts what the driver keeps for itself, nvidia-smi does not.
        assert abs(one.memory - other.memory) < MEMORY + (1 << 30)
        assert one.power is not None and other.power is not None and abs(one.power - other.power) < POWER


def test_the_helper_reads_them() -> None:
    asking = Asking()
    try:
        assert [one.kind for one in asking.readings(30.0)][:1] == ["gpu"]
    finally:
        asking.close()


def test_prechecks_can_read_the_report() -> None:
    found = run_checks(choose(["gpu-driver", "gpu-count", "gpu-ecc", "gpu-temperature"]), Surroundings())
    assert found[0].verdict is Verdict.OK, found[0].line()
    assert all(one.verdict is not Verdict.SKIPPED for one in found), [one.line() for one in found]
