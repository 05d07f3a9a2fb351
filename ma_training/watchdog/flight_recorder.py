"""What PyTorch's flight recorders say of the ranks: which collectives each has entered."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .asking import Asked, ask_all
from .grouping import spell_ranks

_DTYPES = {"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16"}
_DTYPES |= {"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"}
# Of these, tensors may differ from rank to rank: only the operation is compared.
_UNEVEN = re.compile(r"all_?to_?all|gather|scatter", re.IGNORECASE)
_EVEN_AFTER_ALL = re.compile(r"all_?gather|reduce_?scatter", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """One collective that a rank has entered."""

    number: int  # of its process group, from 1
    operation: str  # "all_reduce"
    sizes: str = ""  # "[1024]"
    dtype: str = ""  # "float32"
    done: bool = False

    @property
    def alike(self) -> tuple[str, str, str]:
        """What ranks must agree on."""
        uneven = _UNEVEN.search(self.operation) and not _EVEN_AFTER_ALL.search(self.operation)
        return (self.operation, "", "") if uneven else (self.operation, self.sizes, self.dtype)

    @property
    def tensor(self) -> str:
        return f"{self.dtype} {self.sizes}".strip()

    @property
    def words(self) -> str:
        return f"{self.operation} of {self.tensor}" if self.sizes else self.operation


def parse(text: str) -> dict[str, tuple[Call, ...]]:
    """Calls by process group, in order. Raises ValueError where ``text`` is not what torch writes."""
    try:
        record = json.loads(text)
    except RecursionError:
        raise ValueError("an object with a list of entries is expected, not a tower of brackets") from None
    entries = record.get("entries", []) if isinstance(record, dict) else None
    if not isinstance(entries, list):
        raise ValueError("an object with a list of entries is expected")
    groups: dict[str, list[Call]] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError("an entry is expected to be an object")
        call = _call(entry)
        if call and not entry.get("is_p2p"):
            groups.setdefault(_group_name(entry.get("process_group")), []).append(call)
    return {name: tuple(sorted(calls, key=lambda call: call.number)) for name, calls in groups.items()}


def _call(entry: Mapping[str, Any]) -> Call | None:
    number, name = entry.get("collective_seq_id"), entry.get("profiling_name")
    if not isinstance(number, int) or not isinstance(name, str):
        return None
    sizes, dtypes = entry.get("input_sizes"), entry.get("input_dtypes")
    return Call(
        number,
        name.rpartition(":")[2],
        ", ".join(map(str, sizes)) if isinstance(sizes, list) else "",
        _DTYPES.get(str(dtypes[0]), str(dtypes[0])) if isinstance(dtypes, list) and dtypes else "",
        bool(entry.get("retired")) or entry.get("state") == "completed",
    )


def _group_name(words: Any) -> str:
    """'' for the group of all ranks."""
    if not isinstance(words, list) or not words or "default_pg" in words:
        return ""
    return str(words[-1] if words[-1] not in ("", "undefined") else words[0])


@dataclass(frozen=True, slots=True)
class _Odd:
    """A collective that not all ranks are in, or not in the same way."""

    group: str
    number: int
    calls: Mapping[int, Call]  # by rank
    absent: tuple[int, ...] = ()


class Recorder:
    """Of ranks that could be asked. One that knows nothing of a group is not in it, unless all are."""

    def __init__(self, ranks: Mapping[int, Mapping[str, tuple[Call, ...]]]) -> None:
        self._ranks = ranks
        groups = sorted({name for calls in ranks.values() for name in calls})
        self._odd = [odd for name in groups if (odd := self._look(name))]

    def entered(self) -> dict[str, dict[int, int]]:
        """The number of the last collective that each rank has entered, by group: nodes may compare them."""
        names = {name for calls in self._ranks.values() for name in calls}
        return {
            name: {rank: calls[name][-1].number for rank, calls in self._ranks.items() if calls.get(name)}
            for name in sorted(names)
        }

    def pending(self, rank: int) -> Call | None:
        """The last collective that ``rank`` has entered and not finished."""
        calls = [call for of in self._ranks.get(rank, {}).values() for call in of if not call.done]
        return calls[-1] if calls else None

    def lagging(self) -> tuple[int, ...]:
        """Ranks that have not entered a collective in which others wait."""
        return tuple(sorted({rank for odd in self._odd for rank in odd.absent}))

    def different(self) -> tuple[int, ...]:
        """Ranks that have entered a collective in another way than most; both where it stands even."""
        found: set[int] = set()
        for odd in self._odd:
            sides = _sides(odd.calls)
            if len(sides) > 1:
                fewest = len(sides[-1][1])
                found.update(rank for _, ranks in sides if len(ranks) == fewest for rank in ranks)
        return tuple(sorted(found))

    def mismatch(self) -> bool:
        """Ranks are in one collective with different tensors, rather than in different ones."""
        return any(
            len(_sides(odd.calls)) > 1 and len({call.operation for call in odd.calls.values()}) == 1
            for odd in self._odd
        )

    def sentence(self) -> str:
        return "; ".join(map(_say, self._odd))

    def _look(self, name: str) -> _Odd | None:
        """The first collective of a group that someone waits in and that is odd."""
        ranks = {rank: of.get(name, ()) for rank, of in self._ranks.items() if name == "" or of.get(name)}
        calls = {rank: {call.number: call for call in of} for rank, of in ranks.items()}
        pending = {call.number for of in calls.values() for call in of.values() if not call.done}
        for number in sorted(pending):
            here = {rank: of[number] for rank, of in calls.items() if number in of}
            absent = tuple(rank for rank, of in calls.items() if max(of, default=0) < number)
            if absent or len({call.alike for call in here.values()}) > 1:
                return _Odd(name, number, here, absent)
        return None


def _sides(calls: Mapping[int, Call]) -> list[tuple[Call, list[int]]]:
    """Ranks that have called alike, the most first."""
    sides: dict[tuple[str, str, str], list[int]] = {}
    for rank, call in sorted(calls.items()):
        sides.setdefault(call.alike, []).append(rank)
    return [
        (calls[ranks[0]], ranks) for ranks in sorted(sides.values(), key=lambda ranks: (-len(ranks), ranks))
    ]


def _say(odd: _Odd) -> str:
    sides, of = _sides(odd.calls), f" of group {odd.group}" if odd.group else ""
    said = []
    if len(sides) > 1:
        clauses = [f"{spell_ranks(ranks)} called {call.words}" for call, ranks in sides]
        said.append(f"{', '.join(clauses)} (#{odd.number}{of})")
    if odd.absent:
        call = sides[0][0]
        has, have = ("have" if len(ranks) > 1 else "has" for ranks in (odd.absent, odd.calls))
        tensor = f" ({call.tensor})" if call.tensor else ""
        said.append(
            f"{spell_ranks(odd.absent)} {has} not entered {call.operation} #{odd.number}{of}{tensor}; "
            f"{spell_ranks(sorted(odd.calls))} {have}"
        )
    return "; ".join(said)


def gather(asked: Mapping[int, tuple[int, Asked]], timeout: float) -> Recorder | None:
    """Asks ranks, given by (pid, whom to ask); None where none of them knows anything."""
    answers = ask_all(dict(asked.values()), time.monotonic() + timeout)
    found = {}
    for rank, (pid, _) in asked.items():
        answer = answers[pid]
        if isinstance(answer, str) and answer:
            try:
                found[rank] = parse(answer)
            except ValueError:  # another torch's, or overwritten: it is the user's process
                continue
    return Recorder(found) if found else None
