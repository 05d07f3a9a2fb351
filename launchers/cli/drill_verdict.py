"""What a drill found, for people in at most 20 lines and for programs in one."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ma_training.job import format_duration, format_size

from .drill_digests import Comparison, Difference
from .drill_hints import hints

VERSION = 1
LINES, WIDTH = 20, 110
NAMES, HINTS = 10, 2
LABEL = 11  # columns
STEADY = (
    "fix every seed; take no time, process id, os.urandom() or order of a set into the training; "
    "on GPUs call torch.use_deterministic_algorithms(True)"
)
Outcome = Literal["identical", "different", "not deterministic", "not resumed", "failed"]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The step that all ranks went on from, and where they had it from."""

    step: int
    where: str
    seconds: float  # that restoring took, the slowest rank's
    after_kill: float | None  # seconds from the worker's death until all were restored


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    script: str
    steps: int
    kill_at: int
    kill_rank: int
    comparison: Comparison | None = None
    resumed: Resumed | None = None
    reason: str = ""  # why there is nothing to compare
    log: Sequence[str] = ()  # last lines of it
    advice: Sequence[str] = field(default=())
    kept: str = ""  # the directory of both runs

    @property
    def exit_code(self) -> int:
        return 0 if self.outcome == "identical" else 1

    def hints(self) -> list[str]:
        if self.comparison is None or self.outcome == "identical":
            return list(self.advice)
        if self.outcome == "not deterministic":
            return [STEADY]
        return [*self.advice, *hints(self.comparison)]

    def text(self) -> str:
        head = [self._headline(), *self._facts()]
        foot = [line for hint in self.hints()[:HINTS] for line in _labelled("hint", hint)]
        foot += _labelled("kept", self.kept) if self.kept else []
        room = LINES - len(head) - len(foot)
        return "\n".join([*head, *self._names(min(NAMES, room - 1)), *foot]) + "\n"

    def json(self) -> str:
        record: dict[str, Any] = {
            "v": VERSION,
            "outcome": self.outcome,
            "script": self.script,
            "steps": self.steps,
            "kill_at": self.kill_at,
            "kill_rank": self.kill_rank,
            "resumed": self.resumed and _resumed_json(self.resumed),
            "compared": self.comparison and _compared_json(self.comparison),
            "different": [_difference_json(each) for each in self._differences()],
            "reason": self.reason or None,
            "log": list(self.log),
            "hints": self.hints(),
            "kept": self.kept or None,
        }
        return json.dumps(record, ensure_ascii=False) + "\n"

    # --- lines ---

    def _headline(self) -> str:
        killed = f"{self.steps} steps, rank {self.kill_rank} killed after step {self.kill_at}"
        match self.outcome:
            case "identical":
                return f"identical: {self.script} resumes bit for bit ({killed})"
            case "different":
                return f"different: {self.script} does not resume bit for bit ({killed})"
            case "not deterministic":
                return (
                    f"different: {self.script} is not deterministic by itself: two runs without a kill differ"
                )
            case "not resumed":
                return f"not resumed: {self.script} began anew ({killed})"
            case "failed":
                return f"failed: {self.reason}"

    def _facts(self) -> list[str]:
        lines = [f"  | {line[: WIDTH - 4]}" for line in self.log]
        if (found := self.comparison) is not None:
            ranks = f"{found.ranks} rank{'s' if found.ranks > 1 else ''}"
            arrays = f"{found.arrays} arrays, {format_size(found.bytes)}"
            lines += _labelled("compared", f"{arrays}, and {found.values} other values, of {ranks}")
        if (went := self.resumed) is not None and self.outcome != "not deterministic":
            lines += _labelled("resumed", _resumed_text(went, self.kill_at))
        if found is not None and found.differences:
            lines += _labelled(
                "differ",
                f"{found.different_arrays} arrays, {found.different_values} other values:",
            )
        return lines

    def _differences(self) -> Sequence[Difference]:
        return self.comparison.differences if self.comparison else ()

    def _names(self, most: int) -> list[str]:
        differences = self._differences()
        lines = [f"    {_named(each, self.comparison)}" for each in differences[:most]]
        more = len(differences) - most
        return [*lines, f"    and {more} more"] if more > 0 else lines


def _named(difference: Difference, comparison: Comparison | None) -> str:
    count = comparison.ranks if comparison else 0
    ranks = ", ".join(map(str, difference.ranks[:8])) + (", ..." if len(difference.ranks) > 8 else "")
    where = "" if len(difference.ranks) == count else f" (rank {ranks})"
    only = f" (only in the {difference.only_in} run)" if difference.only_in else ""
    return f"{difference.name}{where}{only}"


def _resumed_text(resumed: Resumed, kill_at: int) -> str:
    lost = kill_at - resumed.step
    parts = [f"at step {resumed.step} from {resumed.where} in {format_duration(resumed.seconds)}"]
    if resumed.after_kill is not None:
        parts.append(f"{format_duration(resumed.after_kill)} after the kill")
    parts.append(f"{lost} step{'' if lost == 1 else 's'} done again" if lost else "none lost")
    return ", ".join(parts)


def _labelled(label: str, text: str) -> list[str]:
    first, *rest = textwrap.wrap(text, WIDTH - LABEL, break_on_hyphens=False, break_long_words=False) or [""]
    return [f"  {label:<{LABEL - 2}}{first}", *(f"{'':{LABEL}}{line}" for line in rest)]


def _resumed_json(resumed: Resumed) -> dict[str, Any]:
    return {
        "step": resumed.step,
        "from": resumed.where,
        "seconds": round(resumed.seconds, 6),
        "seconds_after_kill": None if resumed.after_kill is None else round(resumed.after_kill, 3),
    }


def _compared_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "arrays": comparison.arrays,
        "values": comparison.values,
        "bytes": comparison.bytes,
        "ranks": comparison.ranks,
        "components": list(comparison.components),
        "different_arrays": comparison.different_arrays,
        "different_values": comparison.different_values,
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "name": difference.name,
        "kind": "array" if difference.is_array else "value",
        "ranks": list(difference.ranks),
        "only_in": difference.only_in or None,
    }
