"""Recorded evidence through the rules."""

from collections.abc import Iterable, Iterator

from .findings import Finding
from .recording import Entry, Stacks
from .rules import Watch


def replay(entries: Iterable[Entry], watch: Watch) -> Iterator[tuple[float, Finding]]:
    """What ``watch`` finds, and when. Stacks that it would not have asked for are kept from it."""
    for entry in entries:
        if not isinstance(entry, Stacks):
            found = watch.observe(entry)
        elif watch.stacks_due is not None and watch.stacks_due <= entry.at:
            found = watch.stacks(entry.at, entry.samples)
        else:
            found = []
        for finding in found:
            yield entry.at, finding
