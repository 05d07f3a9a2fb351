"""Tools that are missing, old, new, broken or silent: each is a finding, none is a hang or an end."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ma_training.precheck import Check, Verdict, choose, run_checks
from ma_training.precheck.finding import Finding, ok
from ma_training.precheck.surroundings import Surroundings
from ma_training.testing import FakeNode, healthy

from .nodes import check, surroundings

TOOLS = {
    "nvidia-smi": "gpu-driver",
    "npu-smi": "npu-driver",
    "ibstat": "infiniband",
    "hccn_tool": "npu-link",
    "dmesg": "gpu-xid",
}


def _quick(where: Surroundings) -> Surroundings:
    return replace(where, tool_within=1.0)


@pytest.mark.parametrize(("tool", "name"), TOOLS.items())
def test_a_tool_that_hangs_is_a_finding(tmp_path: Path, tool: str, name: str) -> None:
    node = healthy(tmp_path)
    node.hang(tool)
    began = time.monotonic()
    found = {one.check: one for one in run_checks(choose(), _quick(surroundings(node)))}
    assert time.monotonic() - began < 60  # seconds; the fakes would sleep for a day
    one = found[name]
    assert "has not answered" in one.measured + one.why
    assert one.verdict is (Verdict.FAIL if tool in ("nvidia-smi", "npu-smi", "ibstat") else Verdict.SKIPPED)
    others = {one.check for one in found.values() if one.verdict is Verdict.FAIL}
    assert others <= {name, "gpu-check"}


@pytest.mark.parametrize(("tool", "name"), TOOLS.items())
def test_a_tool_that_is_missing(tmp_path: Path, tool: str, name: str) -> None:
    node = healthy(tmp_path)
    node.remove(tool)
    where = surroundings(node)
    where = replace(where, environ={**where.environ, "PATH": str(node.bin)})
    node.script("cat", 'exec /bin/cat "$@"')
    found = {one.check: one for one in run_checks(choose(), where)}
    assert [one.line() for one in found.values() if one.verdict is Verdict.FAIL] == []
    expected = {"ibstat": Verdict.OK, "nvidia-smi": Verdict.WARN, "npu-smi": Verdict.WARN}
    assert found[name].verdict is expected.get(tool, Verdict.SKIPPED)


@pytest.mark.parametrize("text", ["", "\x00\x01\x02", "<nvidia_smi_log><gpu", "| a | b |\n", "ж" * 1000])
@pytest.mark.parametrize("tool", TOOLS)
def test_garbage_says_that_it_is_not_known(tmp_path: Path, tool: str, text: str) -> None:
    node = healthy(tmp_path)
    node.tool(tool, {}, default=text)
    found = run_checks(choose(), surroundings(node))
    assert not [one.line() for one in found if "check itself has failed" in one.measured]
    failed = {one.check for one in found if one.verdict is Verdict.FAIL}
    assert failed <= {"infiniband", "gpu-check"}, failed


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_fails(tmp_path: Path, tool: str) -> None:
    node = healthy(tmp_path)
    node.tool(tool, {}, 9, f"{tool}: something is wrong\n")
    found = {one.check: one for one in run_checks(choose(), surroundings(node))}
    one = found[TOOLS[tool]]
    assert "exited with code 9" in one.measured + one.why
    assert one.verdict is not Verdict.OK


def test_a_kernel_log_that_needs_root(tmp_path: Path) -> None:
    node = healthy(tmp_path)
    node.tool("dmesg", {}, 1, "dmesg: read kernel buffer failed: Operation not permitted\n")
    found = check(surroundings(node), "gpu-xid")
    assert found.verdict is Verdict.SKIPPED and "Operation not permitted" in found.why


OLD_LAYOUT = """\
<?xml version="1.0" ?><nvidia_smi_log><driver_version>418.67</driver_version><attached_gpus>1</attached_gpus>
<gpu id="00000000:00:0D.0"><product_name>Tesla V100-SXM2-16GB</product_name>
<ecc_errors><volatile><single_bit><total>3</total></single_bit><double_bit><total>0</total></double_bit></volatile>
<aggregate><double_bit><register_file>{registers}</register_file><total>2</total></double_bit></aggregate></ecc_errors>
<retired_pages><multiple_single_bit_retirement><retired_count>1</retired_count></multiple_single_bit_retirement>
<double_bit_retirement><retired_count>2</retired_count></double_bit_retirement>
<pending_retirement>{pending}</pending_retirement></retired_pages>
<clocks_throttle_reasons><clocks_throttle_reason_hw_thermal_slowdown>Active</clocks_throttle_reason_hw_thermal_slowdown>
</clocks_throttle_reasons><temperature><gpu_temp>N/A</gpu_temp></temperature></gpu></nvidia_smi_log>
"""


def _old(tmp_path: Path, registers: int = 0, pending: str = "No") -> Surroundings:
    node = FakeNode(tmp_path)
    node.add_gpus(1)
    node.tool("nvidia-smi", {"-q -x": OLD_LAYOUT.format(registers=registers, pending=pending)})
    return surroundings(node)


def test_the_layout_of_an_old_driver(tmp_path: Path) -> None:
    where = _old(tmp_path)
    assert check(where, "gpu-ecc").measured.endswith("L1: 3 corrected errors")
    assert check(where, "gpu-pages").measured.startswith("at most 3 pages retired")
    assert "hw_thermal_slowdown" in check(where, "gpu-throttling").measured
    assert check(where, "gpu-temperature").verdict is Verdict.SKIPPED


@pytest.mark.parametrize(("registers", "pending"), [(1, "No"), (0, "Yes")])
def test_what_isolates_a_gpu_before_ampere(tmp_path: Path, registers: int, pending: str) -> None:
    found = check(_old(tmp_path, registers, pending), "gpu-ecc")
    assert found.verdict is Verdict.FAIL and found.codes == ("A050101",)


@pytest.mark.parametrize(
    ("change", "verdict", "level"),
    [
        (lambda node: setattr(node.gpus[0], "corrected", 7), Verdict.OK, "L1"),
        (lambda node: setattr(node.gpus[0], "uncorrected", 1), Verdict.WARN, "L2"),
        (lambda node: setattr(node.gpus[0], "remap_pending", True), Verdict.WARN, "L2"),
        (lambda node: setattr(node.gpus[0], "sram_uncorrected", 4), Verdict.WARN, "L2"),
        (lambda node: setattr(node.gpus[0], "sram_uncorrected", 5), Verdict.FAIL, "L4"),
        (lambda node: setattr(node.gpus[0], "remap_failed", True), Verdict.FAIL, "L4"),
    ],
)
def test_levels_of_memory_errors(
    tmp_path: Path, change: Callable[[FakeNode], None], verdict: Verdict, level: str
) -> None:
    node = FakeNode(tmp_path)
    node.add_gpus(2)
    change(node)
    node.say_gpus()
    found = check(surroundings(node), "gpu-ecc")
    assert found.verdict is verdict and level in found.measured


def test_an_uncontained_error_belongs_to_its_gpu(tmp_path: Path) -> None:
    from ma_training.testing.tool_output import xid

    node = FakeNode(tmp_path)
    node.add_gpus(2)
    node.log(xid(1, 95, "Uncontained: ..."))
    found = check(surroundings(node), "gpu-ecc")
    assert found.verdict is Verdict.FAIL and found.measured.startswith("GPU 1 (00000000:3C:00.0): L3")


def test_a_check_that_breaks_or_hangs_is_a_finding(tmp_path: Path) -> None:
    from threading import Event

    gate = Event()

    def breaks(where: Surroundings) -> Finding:
        raise RuntimeError("a defect")

    def hangs(where: Surroundings) -> Finding:
        gate.wait(60)
        return ok("")

    checks = [
        Check("breaks", "GPU", breaks),
        Check("hangs", "GPU", hangs, hardware=True, seconds=0.2),
        Check("is well", "GPU", lambda where: ok("fine")),
    ]
    try:
        broken, hung, well = run_checks(checks, surroundings(FakeNode(tmp_path)))
    finally:
        gate.set()
    assert broken.verdict is Verdict.WARN and "a defect" in broken.measured
    assert hung.verdict is Verdict.FAIL and hung.codes == ("A050103",)
    assert well.verdict is Verdict.OK
