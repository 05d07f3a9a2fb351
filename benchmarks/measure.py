"""Rounds of several sides in turn, what they gave, and the table's rows."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from .processes import Job, RoundFailed, job_in
from .sides import Side

Values = dict[str, float]
OneRound = Callable[[Side, Job], Values]


@dataclass(frozen=True)
class Sample:
    """One round of one side."""

    item: str
    side: str
    round: int
    values: Values = field(default_factory=dict)
    failed: str | None = None  # why


@dataclass(frozen=True)
class Row:
    item: str
    ours: str
    peer: str = "-"
    ratio: str = "-"
    target: str = "-"
    reached: str = "-"


class Recorder:
    """Runs rounds and keeps every one of them, the failed ones too."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.samples: list[Sample] = []

    def alternate(
        self, item: str, sides: Sequence[Side], rounds: int, one_round: OneRound, warm_up: bool = True
    ) -> None:
        """Each round runs every side, in turn beginning with another one. A round to fill the caches of
        files and bytecode comes first, and is not kept."""
        if warm_up:
            for side in sides:
                self._say(f"{item} warm-up, not counted", [self._run(item, side, 0, one_round)])
        for number in range(1, rounds + 1):
            shift = (number - 1) % len(sides)
            ordered = [*sides[shift:], *sides[:shift]]
            samples = [self.run(item, side, number, one_round) for side in ordered]
            self._say(f"{item} round {number}/{rounds}", samples)

    def run(self, item: str, side: Side, number: int, one_round: OneRound) -> Sample:
        sample = self._run(item, side, number, one_round)
        self.samples.append(sample)
        return sample

    def _run(self, item: str, side: Side, number: int, one_round: OneRound) -> Sample:
        name = f"{item}-{side.name}-{number}-{time.monotonic_ns()}".replace(" ", "-").replace(",", "")
        try:
            with job_in(self._root / name) as job:
                return Sample(item, side.name, number, one_round(side, job))
        except (RoundFailed, OSError, psutil.Error) as error:
            return Sample(item, side.name, number, failed=f"{type(error).__name__}: {error}")

    def _say(self, what: str, samples: Sequence[Sample]) -> None:
        print(f"{what}: {' | '.join(map(_one_line, samples))}", file=sys.stderr, flush=True)

    def say_trial(self, what: str, sample: Sample) -> None:
        self._say(what, [sample])

    def of(self, item: str, side: Side) -> list[Sample]:
        return [sample for sample in self.samples if (sample.item, sample.side) == (item, side.name)]

    def raw(self) -> list[dict[str, Any]]:
        return [asdict(sample) for sample in self.samples]


def _one_line(sample: Sample) -> str:
    if sample.failed is not None:
        return f"{sample.side} FAILED ({sample.failed})"
    return f"{sample.side} " + " ".join(f"{name}={value:.4g}" for name, value in sample.values.items())


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Series:
    """One quantity of one side over all rounds."""

    values: dict[int, float]  # by round
    failed: int

    @classmethod
    def of(cls, samples: Sequence[Sample], name: str) -> "Series":
        values = {sample.round: sample.values[name] for sample in samples if name in sample.values}
        return cls(values, len(samples) - len(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values.values())

    def show(self, unit: str, scale: float = 1.0) -> str:
        failed = f", {self.failed} of {self.failed + len(self.values)} FAILED" if self.failed else ""
        if not self.values:
            return "none" + failed
        numbers = (self.median, min(self.values.values()), max(self.values.values()))
        middle, low, high = (_digits(number * scale) for number in numbers)
        return f"{middle} {unit} ({low}..{high}){failed}"


@dataclass(frozen=True)
class Quantity:
    """A row to be: which value of which item, in which unit, and what it must reach."""

    label: str
    item: str
    name: str
    unit: str
    scale: float = 1.0
    most: float | None = None  # of our median, in `unit`
    most_ratio: float | None = None
    paired: bool = False  # the ratio is the median of the rounds' own, not that of the medians

    def row(self, recorder: Recorder, ours: Side, peer: Side | None) -> Row:
        mine = Series.of(recorder.of(self.item, ours), self.name)
        theirs = Series.of(recorder.of(self.item, peer), self.name) if peer else None
        ratio = self._ratio(mine, theirs) if theirs else None
        target = "-"
        if self.most is not None:
            target = f"<= {self.most:g} {self.unit}"
        elif self.most_ratio is not None:
            target = f"ratio <= {self.most_ratio:g}"
        return Row(
            self.label,
            mine.show(self.unit, self.scale),
            theirs.show(self.unit, self.scale) if theirs else "-",
            "-" if ratio is None else f"{ratio:.3f}",
            target,
            self._reached(mine, ratio),
        )

    def _ratio(self, mine: Series, theirs: Series) -> float | None:
        if not mine.values or not theirs.values:
            return None
        if not self.paired:
            return mine.median / theirs.median
        both = mine.values.keys() & theirs.values.keys()
        return statistics.median(mine.values[each] / theirs.values[each] for each in both) if both else None

    def _reached(self, mine: Series, ratio: float | None) -> str:
        """A failed round of ours is a target missed; without one of the peer's there is no verdict."""
        if self.most is None and self.most_ratio is None:
            return "-"
        if mine.failed or not mine.values:
            return "no"
        if self.most is not None:
            return "yes" if mine.median * self.scale <= self.most else "no"
        if ratio is None:
            return "unknown"
        return "yes" if ratio <= (self.most_ratio or 0.0) else "no"


def table(rows: Sequence[Row]) -> str:
    head = Row("item", "ours: median (range)", "torchrun", "ratio", "target", "reached")
    lines = [tuple(asdict(row).values()) for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, tuple("-" * width for width in widths))
    cells = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in cells)
