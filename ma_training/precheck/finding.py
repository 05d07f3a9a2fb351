"""What a check has found."""

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    OK = "ok"
    WARN = "warn"  # the job runs, perhaps not well
    FAIL = "fail"  # it will not run, or not for long
    SKIPPED = "skipped"  # it does not apply here, or could not be found out


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    measured: str = ""
    required: str = ""
    why: str = ""  # it was skipped
    fix: str = ""
    codes: tuple[str, ...] = ()  # of `fault_codes`, the most telling first
    service: tuple[int, str] = (0, "ok")  # code and message of the platform's own line
    check: str = ""  # the name of the check; whoever runs it fills this in
    group: str = ""
    hardware: bool = False  # it speaks of a device, not of settings or of what runs here
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        return self.verdict in (Verdict.WARN, Verdict.FAIL)

    def line(self) -> str:
        """In one line: what was checked, found, and wanted."""
        wanted = f" (required: {self.required})" if self.required and self.bad else ""
        codes = f" [{', '.join(self.codes)}]" if self.codes else ""
        return f"{self.check}: {self.why or self.measured or self.verdict.value}{wanted}{codes}"


def ok(measured: str, required: str = "") -> Finding:
    return Finding(Verdict.OK, measured, required)


def warn(measured: str, fix: str, required: str = "", codes: tuple[str, ...] = ()) -> Finding:
    return Finding(Verdict.WARN, measured, required, fix=fix, codes=codes)


def fail(
    measured: str,
    fix: str,
    required: str = "",
    codes: tuple[str, ...] = (),
    service: tuple[int, str] | None = None,
) -> Finding:
    said = service or (1, measured)
    return Finding(Verdict.FAIL, measured, required, fix=fix, codes=codes, service=said)


def skipped(why: str) -> Finding:
    return Finding(Verdict.SKIPPED, why=why)
