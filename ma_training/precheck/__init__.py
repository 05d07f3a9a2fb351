"""Prechecks: a bad node is found before it costs a run.

`checks` has one small file a check, `registry` their order; `running` runs them side by side, with
deadlines; `surroundings` is the machine and the job that they look at.
"""

from .check import Check
from .fault_codes import BY_CODE, FAULT_CODES, FaultCode, Severity
from .finding import Finding, Verdict
from .limits import LimitError, Limits, parse_limits
from .machine import ClockState, Disk
from .registry import NAMES, UnknownCheckError, choose, hardware
from .running import run_checks, worst
from .surroundings import Job, Surroundings

__all__ = [
    "BY_CODE",
    "FAULT_CODES",
    "NAMES",
    "Check",
    "ClockState",
    "Disk",
    "FaultCode",
    "Finding",
    "Job",
    "LimitError",
    "Limits",
    "Severity",
    "Surroundings",
    "UnknownCheckError",
    "Verdict",
    "choose",
    "hardware",
    "parse_limits",
    "run_checks",
    "worst",
]
