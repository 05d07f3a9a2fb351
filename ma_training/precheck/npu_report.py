"""What npu-smi and hccn_tool say here, once for all checks that want to know."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ma_training.devices import FormatError
from ma_training.devices.npu import NpuChip, ask_hccn, parse_chips
from ma_training.devices.tool import Answer

from .finding import Finding, skipped
from .surroundings import Surroundings

NO_NPU = "no Ascend driver here"
Value = TypeVar("Value")


def answer(where: Surroundings) -> Answer:
    return where.ask(("npu-smi", "info"))


def chips(where: Surroundings) -> tuple[NpuChip, ...]:
    """Raises FormatError where npu-smi has not said anything that can be read."""
    said = answer(where)
    if not said.ok:
        raise FormatError(said.describe())
    return where.memo.get("npu-chips", lambda: parse_chips(said.text))


def wanted(where: Surroundings) -> str:
    return "" if where.has_npus else NO_NPU


def hccn(where: Surroundings, what: str) -> Callable[[NpuChip], Answer]:
    return lambda chip: ask_hccn(where.ask, chip.index, what)


def smi(where: Surroundings, what: str) -> Callable[[NpuChip], Answer]:
    return lambda chip: where.ask(("npu-smi", "info", "-t", what, "-i", str(chip.npu), "-c", str(chip.chip)))


def of_each(
    ask: Callable[[Surroundings], Callable[[NpuChip], Answer]],
    parse: Callable[[str], Value],
    judge: Callable[[Surroundings, Mapping[int, Value]], Finding],
) -> Callable[[Surroundings], Finding]:
    """A check's run: asks of all chips at once, and judges what could be read.

    Skipped, with the reason, where nothing could; a chip that alone does not answer is named.
    """

    def run(where: Surroundings) -> Finding:
        try:
            found = chips(where)
            values, errors = _ask_all(found, ask(where), parse)
        except FormatError as error:
            return skipped(f"not known: {error}")
        if not values:
            return skipped(f"not known: {next(iter(errors.values()), 'no chip')}")
        finding = judge(where, values)
        return finding if not errors else partly(finding, errors)

    return run


def _ask_all(
    found: tuple[NpuChip, ...], ask: Callable[[NpuChip], Answer], parse: Callable[[str], Value]
) -> tuple[dict[int, Value], dict[int, str]]:
    with ThreadPoolExecutor(max_workers=max(1, len(found))) as pool:
        answers = list(pool.map(ask, found))
    values: dict[int, Value] = {}
    errors: dict[int, str] = {}
    for chip, said in zip(found, answers, strict=True):
        try:
            values[chip.index] = _parsed(said, parse)
        except FormatError as error:
            errors[chip.index] = str(error)
    return values, errors


def _parsed(said: Answer, parse: Callable[[str], Value]) -> Value:
    if not said.ok:
        raise FormatError(said.describe())
    return parse(said.text)


def partly(finding: Finding, errors: Mapping[int, str]) -> Finding:
    from dataclasses import replace

    from .finding import Verdict

    text = "; ".join(f"NPU {index} is not known: {why}" for index, why in errors.items())
    verdict = Verdict.WARN if finding.verdict is Verdict.OK else finding.verdict
    return replace(finding, verdict=verdict, measured=f"{finding.measured}; {text}")


def named(values: Mapping[int, Value], say: Callable[[Value], str]) -> str:
    return "; ".join(f"NPU {index}: {say(value)}" for index, value in values.items())
