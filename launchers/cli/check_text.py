"""Findings as people and programs read them."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from ma_training.precheck import BY_CODE, Finding, Verdict
from ma_training.precheck.check import GROUPS

VERSION = 1
_MARKS = {Verdict.OK: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗", Verdict.SKIPPED: "-"}
_PLAIN = {Verdict.OK: "ok", Verdict.WARN: "!", Verdict.FAIL: "x", Verdict.SKIPPED: "-"}


def marks() -> dict[Verdict, str]:
    """Those that this terminal can show."""
    try:
        "✓✗".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN
    return _MARKS


def text(findings: Sequence[Finding], language: str = "en") -> str:
    """In groups; a group of which nothing applies, in a line."""
    signs = marks()
    width = max((len(found.check) for found in findings), default=0)
    lines = []
    for group in GROUPS:
        members = [found for found in findings if found.group == group]
        if len(members) > 1 and len({found.why for found in members}) == 1 and members[0].why:
            lines.append(f"{group}\n  {signs[Verdict.SKIPPED]} {members[0].why}")
        elif members:
            lines.append(group)
            lines += [_lines(found, signs, width, language) for found in members]
    return "\n".join([*lines, "", summary(findings)]) + "\n"


def _lines(found: Finding, signs: dict[Verdict, str], width: int, language: str) -> str:
    indent = " " * (width + 6)
    required = f" (required: {found.required})" if found.required and found.bad else ""
    lines = [f"  {signs[found.verdict]:<2}{found.check:<{width}}  {found.why or found.measured}{required}"]
    for code in found.codes:
        fault = BY_CODE[code]
        words = fault.zh if language == "zh" else fault.en
        lines.append(f"{indent}{code} [{fault.kind}, {fault.severity.value}] {words}")
    if found.fix:
        lines.append(f"{indent}fix: {found.fix}")
    return "\n".join(lines)


def summary(findings: Sequence[Finding]) -> str:
    counts = {verdict: sum(found.verdict is verdict for found in findings) for verdict in Verdict}
    return (
        f"{counts[Verdict.OK]} passed, {counts[Verdict.WARN]} to look at, {counts[Verdict.FAIL]} failed, "
        f"{counts[Verdict.SKIPPED]} skipped"
    )


def record(found: Finding) -> dict[str, Any]:
    """One line of --json."""
    return {
        "check": found.check,
        "group": found.group,
        "verdict": found.verdict.value,
        "measured": found.measured,
        "required": found.required,
        "why": found.why,
        "fix": found.fix,
        "codes": [
            {
                "code": code,
                "severity": BY_CODE[code].severity.value,
                "en": BY_CODE[code].en,
                "zh": BY_CODE[code].zh,
            }
            for code in found.codes
        ],
        "hardware": found.hardware,
        "seconds": round(found.seconds, 3),
    }


def ndjson(findings: Sequence[Finding], node: str) -> str:
    return "".join(
        json.dumps({"v": VERSION, "node": node, **record(found)}, ensure_ascii=False) + "\n"
        for found in findings
    )
