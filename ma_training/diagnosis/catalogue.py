"""The catalogue of known failures: evidence in, likely cause and remedy out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("code", "data", "environment", "resources", "hardware", "network", "outside")
_PATTERNS = ("exception", "message", "traceback", "log", "hang")
_CONDITIONS = (*_PATTERNS, "status", "oom")
CATALOGUE = Path(__file__).with_name("catalogue.yaml")


class CatalogueError(ValueError):
    """An entry that is not as the file's head says; the text names it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    status: int
    exception: str = ""  # the type's name
    message: str = ""
    traceback: str = ""
    log: str = ""  # the last lines
    oom: bool = False
    hang: str = ""  # kind of the watchdog's explanation, where it ended the attempt


@dataclass(frozen=True, slots=True)
class Diagnosis:
    id: str
    kind: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Entry:
    diagnosis: Diagnosis
    patterns: Mapping[str, "re.Pattern[str]"]
    status: int | None
    oom: bool | None

    def match(self, evidence: Evidence) -> Diagnosis | None:
        if self.status is not None and evidence.status != self.status:
            return None
        if self.oom is not None and evidence.oom != self.oom:
            return None
        groups: Sequence[str | None] = ()
        for field, pattern in self.patterns.items():
            text = getattr(evidence, field)
            found = pattern.fullmatch(text) if field == "exception" else pattern.search(text)
            if found is None:
                return None
            groups = found.groups() or groups
        known = self.diagnosis
        return Diagnosis(known.id, known.kind, _fill(known.cause, groups), known.remedy)


def _fill(text: str, groups: Sequence[str | None]) -> str:
    for number, group in enumerate(groups):
        text = text.replace(f"{{{number}}}", (group or "").strip()[:200])
    return text


def load_catalogue(path: Path = CATALOGUE) -> list[Entry]:
    """Raises CatalogueError where the file is not as it should be."""
    import yaml

    # safe_load in C where it is there: it is read while the next attempt starts, and Python's takes 60 ms.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    records = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    if not isinstance(records, list):
        raise CatalogueError(f"{path} is not a list of entries")
    entries = [_entry(record, number) for number, record in enumerate(records)]
    names = [entry.diagnosis.id for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise CatalogueError(f"{path}: {', '.join(sorted(twice))} is there twice")
    return entries


def _entry(record: Any, number: int) -> Entry:
    name = record.get("id", f"entry {number}") if isinstance(record, dict) else f"entry {number}"
    if not isinstance(record, dict) or set(record) != {"id", "kind", "when", "cause", "remedy"}:
        raise CatalogueError(f"{name}: the fields are id, kind, when, cause and remedy")
    when = record["when"]
    if record["kind"] not in KINDS:
        raise CatalogueError(f"{name}: kind {record['kind']!r} is none of {', '.join(KINDS)}")
    if not isinstance(when, dict) or not when or not set(when) <= set(_CONDITIONS):
        raise CatalogueError(f"{name}: conditions are {', '.join(_CONDITIONS)}")
    try:
        patterns = {
            field: re.compile(when[field], re.IGNORECASE if field != "exception" else 0)
            for field in _PATTERNS
            if field in when
        }
    except re.error as error:
        raise CatalogueError(f"{name}: {error}") from None
    diagnosis = Diagnosis(record["id"], record["kind"], record["cause"], record["remedy"])
    return Entry(diagnosis, patterns, when.get("status"), when.get("oom"))


def diagnose(evidence: Evidence, catalogue: Sequence[Entry]) -> Diagnosis | None:
    """What the first entry that fits says; None for a failure that the catalogue does not know."""
    return next((found for entry in catalogue if (found := entry.match(evidence))), None)
