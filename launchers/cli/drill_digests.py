"""What two runs came to, and where it differs. Pure.

A rank's record is {step, leaves: {name: SHA-256}, bytes, meta}, where meta holds the values that are no
arrays, as TrainingState stores them: {stamp, shared: {component: ...}, rank: {component: ...}}. In it,
"restored" has the random generators at its beginning: {leaves: ...}; None where restore() was not called.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
STAMP = ("step", "epoch", "in_epoch", "samples")  # of the stamp, what two runs have alike
ARRAYS = {"$leaf", "$all"}  # keys in place of arrays
LONG = 8  # a list with more entries is compared as one value
RANDOM = "rng"  # the component of Python's, NumPy's and PyTorch's global generators
PROGRESS = "progress"  # the component that the stamp is shown as


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    name: str  # "model/fc1.weight", "optimizer/param_groups/0/lr"
    is_array: bool
    only_in: str  # '' where both runs have it, else "straight" or "resumed"
    ranks: tuple[int, ...]

    @property
    def component(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Comparison:
    arrays: int  # compared, those of all ranks
    values: int
    bytes: int
    ranks: int
    components: tuple[str, ...]
    differences: tuple[Difference, ...]
    different_arrays: int
    different_values: int


def compare(straight: Mapping[int, Record], resumed: Mapping[int, Record]) -> Comparison:
    """Both have the same ranks."""
    found: dict[tuple[str, bool, str], list[int]] = {}
    names: dict[bool, int] = {True: 0, False: 0}
    components: set[str] = set()
    for rank in sorted(straight):
        still = _still(straight[rank]) & _still(resumed[rank])
        for is_array, flat in ((True, _arrays), (False, _values)):
            one, other = flat(straight[rank], still), flat(resumed[rank], still)
            names[is_array] += len(one.keys() | other.keys())
            components |= {name.partition("/")[0] for name in one}
            for name, only_in in _different(one, other):
                found.setdefault((name, is_array, only_in), []).append(rank)
    differences = sorted(Difference(*key, tuple(ranks)) for key, ranks in found.items())
    return Comparison(
        names[True],
        names[False],
        sum(record["bytes"] for record in straight.values()),
        len(straight),
        tuple(sorted(components - {PROGRESS})),
        tuple(differences),
        sum(len(each.ranks) for each in differences if each.is_array),
        sum(len(each.ranks) for each in differences if not each.is_array),
    )


def _different(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in one.keys() | other.keys():
        if name not in other:
            yield name, "straight"
        elif name not in one:
            yield name, "resumed"
        elif one[name] != other[name]:
            yield name, ""


def _still(record: Record) -> set[str]:
    """Random generators that have not moved. Whether somebody seeded them does not matter then."""
    begun = (record["restored"] or {"leaves": {}})["leaves"]
    now = {name: digest for name, digest in record["leaves"].items() if name.startswith(f"rank/{RANDOM}/")}
    moved = {_generator(_bare(name)) for name in now if begun.get(name) != now[name]}
    return {_generator(_bare(name)) for name in now} - moved


def _generator(name: str) -> str:
    """
    >>> _generator("rng/numpy/1")
    'rng/numpy'
    """
    return "/".join(name.split("/")[:2])


def _bare(leaf: str) -> str:
    """Without "shared/" or "rank/" before it."""
    return leaf.partition("/")[2]


def _arrays(record: Record, still: set[str]) -> dict[str, Any]:
    found = {_bare(leaf): digest for leaf, digest in record["leaves"].items()}
    return {name: digest for name, digest in found.items() if _generator(name) not in still}


def _values(record: Record, still: set[str]) -> dict[str, Any]:
    meta = record["meta"]
    stamp = {name: meta["stamp"][name] for name in STAMP if name in meta["stamp"]}
    found = dict(_flat(PROGRESS, stamp))
    for part in ("shared", "rank"):
        for component, tree in meta.get(part, {}).items():
            found.update(_flat(component, tree))
    return {name: value for name, value in found.items() if _generator(name) not in still}


def _flat(path: str, tree: Any) -> Iterable[tuple[str, Any]]:
    """Values by their paths; repr tells NaN, which equals nothing, and 1 from 1.0 and True."""
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict) and tree.keys() & ARRAYS:
        return  # where an array was: it is compared by itself
    if isinstance(tree, dict) and tree:
        children = tree.items()
    elif isinstance(tree, list) and 0 < len(tree) <= LONG:
        children = enumerate(tree)
    else:
        yield path, repr(tree)
    for name, value in children:
        yield from _flat(f"{path}/{name}", value)
