"""ModelArts' own lines of its precheck, spelt as its users search for them ("Modelarts", here).

The guide gives code 0 and, for disk-size, code 13; no other failing code is known: ours is 1.
"""

import json
from collections.abc import Sequence

from .finding import Finding, Verdict

_LOG = "[Modelarts Service Log]"


def guide_lines(findings: Sequence[Finding], items: Sequence[str]) -> list[str]:
    """Lines for those of ``findings`` that are items of the guide's table and that applied."""
    said = [found for found in findings if found.check in items and found.verdict is not Verdict.SKIPPED]
    if all(found.verdict is not Verdict.FAIL for found in said):
        return [f"{_LOG}[task] Detect", *(_passed(found, "detect") for found in said)]
    return [line for found in said for line in _in_full(found)]


def _passed(found: Finding, mark: str) -> str:
    return f"{_LOG}[INFO][{mark}] code: 0, message: ok, item: {found.check}"


def _in_full(found: Finding) -> list[str]:
    """Where an item has failed, two lines for each."""
    code, message = found.service
    record = json.dumps({"code": code, "message": message}, ensure_ascii=False)
    first = f"{_LOG}[INFO][detect] item: {found.check}: json:{record}"
    if found.verdict is not Verdict.FAIL:
        return [first, _passed(found, "task][detect")]
    return [first, f"{_LOG}[ERROR][task][detect] code: {code}, message: {message}, item: {found.check}"]
