"""What goes wrong with checkpoints.

CheckpointError     cannot be read, or cannot be written; nothing that was there before has changed
 ├─ NotFinite       the state holds NaN or Inf: it is not written
 └─ Mismatch        the checkpoint holds other tensors than are wanted
"""

from collections.abc import Sequence

MOST_NAMED = 20


class CheckpointError(Exception):
    """The text says what, where, what was found, and what to do."""


class NotFinite(CheckpointError):
    """``names``: the leaves that hold NaN or Inf."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"not saved, as it holds NaN or Inf: {enumerate_some(names, ', ')}")
        self.names = tuple(names)


class Mismatch(CheckpointError):
    """``differences``: a line each, with what is wanted and what was found."""

    def __init__(self, where: str, differences: Sequence[str]) -> None:
        listed = enumerate_some(differences, "\n    ")
        super().__init__(f"{where} does not fit what is wanted:\n    {listed}")
        self.differences = tuple(differences)


def enumerate_some(items: Sequence[str], separator: str) -> str:
    """The first 20, and how many there are besides.

    >>> enumerate_some(["a", "b"], ", "), enumerate_some(["a"] * 22, "")
    ('a, b', 'aaaaaaaaaaaaaaaaaaaaand 2 more')
    """
    more = len(items) - MOST_NAMED
    shown = list(items[:MOST_NAMED]) + ([f"and {more} more"] if more > 0 else [])
    return separator.join(shown)
