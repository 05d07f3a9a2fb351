"""How much a directory of code may hold. The platform's guide has two sets; both are here."""

from collections.abc import Iterable
from dataclasses import dataclass

from ma_training.job import format_size

from .errors import LimitExceeded
from .store import Entry


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, files, and components of a path. None: no limit."""

    size: int | None = None
    files: int | None = None
    depth: int | None = None


# The guide's: for training jobs, and for images that are made from code.
CODE_LIMITS = {"5G": Limits(5 << 30, 1000, 32), "128M": Limits(128 << 20, 4096)}


def check_limits(where: str, entries: Iterable[Entry], limits: Limits) -> None:
    """Raises LimitExceeded, which names the largest; stops listing where too much is certain."""
    size = files = 0
    largest: Entry | None = None
    hint = "keep data and results elsewhere than code"
    for entry in entries:
        size, files = size + entry.size, files + (not entry.is_directory)
        largest = entry if largest is None or entry.size > largest.size else largest
        depth = entry.key.rstrip("/").count("/") + 1
        if limits.depth is not None and depth > limits.depth:
            raise LimitExceeded(f"{where}: {entry.key} is {depth} deep, {limits.depth} are allowed", hint)
        if limits.files is not None and files > limits.files:
            raise LimitExceeded(f"{where} has more than {limits.files} files", hint)
        if limits.size is not None and size > limits.size:
            text = f"{where} has over {format_size(limits.size)}; the largest so far: {largest.key}"
            raise LimitExceeded(f"{text} ({format_size(largest.size)})", hint)
