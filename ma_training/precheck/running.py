"""Runs checks side by side. One that does not come back is a finding; so is one that breaks."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from .check import Check
from .finding import Finding, Verdict, fail, skipped, warn
from .surroundings import Surroundings

# By group: what a driver that never answers is called in the guide's table.
_HUNG_CODES = {"GPU": ("A050103",), "NPU": ("A050121",), "InfiniBand": ("A050147", "A050932")}


def run_checks(checks: Sequence[Check], where: Surroundings) -> list[Finding]:
    """A finding of each, in order. Speed is measured one after the other, when all else is done."""
    quiet = [check for check in checks if check.group != "speed"]
    found = dict(zip((check.name for check in quiet), _together(quiet, where), strict=True))
    for check in checks:
        if check.name not in found:
            found[check.name] = _together([check], where)[0]
    return [found[check.name] for check in checks]


class _Running:
    """A check in a thread that nobody waits for longer than its deadline."""

    def __init__(self, check: Check, where: Surroundings) -> None:
        self._check, self._where = check, where
        self._began = time.monotonic()
        self._finding: Finding | None = None
        self._thread = threading.Thread(target=self._run, name=f"check-{check.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        check = self._check
        try:
            why = check.applies(self._where)
            finding = skipped(why) if why else check.run(self._where)
        except Exception as error:  # noqa: BLE001  a defect of one check is not to end the others, or a job
            finding = warn(f"the check itself has failed: {error!r}", "report it, with the output of --json")
        self._finding = replace(finding, seconds=time.monotonic() - self._began)

    def finding(self) -> Finding:
        check = self._check
        self._thread.join(max(0.0, self._began + check.seconds - time.monotonic()))
        found = self._finding or _hung(check)
        return replace(found, check=check.name, group=check.group, hardware=check.hardware)


def _together(checks: Sequence[Check], where: Surroundings) -> list[Finding]:
    return [running.finding() for running in [_Running(check, where) for check in checks]]


def _hung(check: Check) -> Finding:
    """What hangs in a file system or driver cannot be ended from here: its thread is left behind."""
    what = f"no answer within {check.seconds:g} s"
    finding = fail if check.hardware or check.item else warn
    codes = _HUNG_CODES.get(check.group, ()) if check.hardware else ()
    return replace(
        finding(what, "something below it hangs: a driver, a mount, a name server", codes=codes),
        seconds=check.seconds,
    )


def worst(findings: Sequence[Finding]) -> Verdict:
    order = (Verdict.FAIL, Verdict.WARN, Verdict.OK)
    return next((each for each in order if any(found.verdict is each for found in findings)), Verdict.OK)
