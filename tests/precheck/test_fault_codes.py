"""Table 9-3: it is entire, and each code that a node can know is found on a node that has it."""

from pathlib import Path

import pytest

from ma_training.precheck import BY_CODE, FAULT_CODES, NAMES, Verdict, choose, run_checks
from ma_training.testing import FAULTS, healthy, rehearse

from .nodes import surroundings

TABLE = """
A050101 A050102 A050103 A050104 A050148 A050109 A050147 A050121 A050122 A050123 A050129 A050149 A050951
A050146 A050202 A050203 A050206 A050801 A050802 A200001 A200002 A200008 A050933 A050931 A050932
"""


def test_the_table_is_entire() -> None:
    assert [fault.code for fault in FAULT_CODES] == TABLE.split()
    assert len(BY_CODE) == 25
    assert all(fault.zh and fault.en and fault.action for fault in FAULT_CODES)


def test_each_code_is_found_by_a_check_or_says_why_no_node_can() -> None:
    for fault in FAULT_CODES:
        assert bool(fault.check) != bool(fault.unknown), fault.code
        assert (fault.code in FAULTS) == bool(fault.check), fault.code
        assert not fault.check or fault.check in NAMES


def test_a_healthy_node_has_none_of_them(tmp_path: Path) -> None:
    found = run_checks(choose(), surroundings(healthy(tmp_path), nproc=2))
    assert [one.line() for one in found if one.codes or one.verdict is Verdict.FAIL] == []
    passed = {one.check for one in found if one.verdict is Verdict.OK}
    assert {fault.check for fault in FAULT_CODES if fault.check} <= passed


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_is_found_and_named(code: str, tmp_path: Path) -> None:
    found = run_checks(choose(), surroundings(rehearse(code, tmp_path)))
    (named,) = [one for one in found if code in one.codes and one.check == BY_CODE[code].check] or [None]
    if named is None:  # a card of one kind that is missing is found by the check of that kind
        (named, *_) = [one for one in found if code in one.codes]
    assert named.verdict is Verdict.FAIL
    assert named.measured and named.fix
    others = {other for one in found for other in one.codes} - {code}
    # A port that is down has two codes, the platform's and the toolkit's; so has a card that is lost.
    together = {"A050147": {"A050932"}, "A050932": {"A050147"}, "A050931": {"A050203"}}
    alike = {"A050103": {"A050931"}, "A050109": {"A050103"}}
    assert others <= together.get(code, set()) | alike.get(code, set()), others
