"""What follows from a second look at the hardware, when a worker has failed. Pure.

precheck failed                          ─▶ isolate, another node
hardware fault, and the user's job ended badly ─▶ isolate, another node
hardware fault, the job goes on          ─▶ nothing yet
no hardware fault, the job ended badly   ─▶ the restart policy decides
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .finding import Finding, Verdict


class Course(str, Enum):
    ISOLATE = "isolate"
    RESTART_POLICY = "restart-policy"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Decision:
    course: Course
    reason: str = ""
    codes: tuple[str, ...] = ()


def faults(findings: Sequence[Finding]) -> list[Finding]:
    """Hardware alone: a full disk is not put right by another node's GPU."""
    return [found for found in findings if found.hardware and found.verdict is Verdict.FAIL]


def decide(findings: Sequence[Finding], ended_badly: bool, before: Sequence[Finding] = ()) -> Decision:
    """``before``: what was found when the job began. A fault that it had then and ran with all the same
    (--precheck warn) is not what ended it now."""
    known = {(found.check, found.measured) for found in faults(before)}
    bad = [found for found in faults(findings) if (found.check, found.measured) not in known]
    if not ended_badly:
        return Decision(Course.NOTHING)
    if not bad:
        return Decision(Course.RESTART_POLICY)
    codes = tuple(dict.fromkeys(code for found in bad for code in found.codes))
    return Decision(Course.ISOLATE, "; ".join(f"{found.check}: {found.measured}" for found in bad), codes)
