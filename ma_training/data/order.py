"""In which order an epoch's samples come, and which of them a rank gets. Pure."""

import random
from collections.abc import Sequence


def order(samples: int, seed: int, epoch: int, shuffle: bool = True) -> Sequence[int]:
    """The indices 0 to ``samples`` - 1 in the epoch's order, which depends on nothing but these arguments.

    Made of `Random.random` alone: of Python's generators only that one is promised to stay as it is.

    >>> order(5, seed=0, epoch=0), order(3, seed=0, epoch=0, shuffle=False)
    ([4, 0, 3, 2, 1], range(0, 3))
    """
    if not shuffle:
        return range(samples)
    indices, draw = list(range(samples)), random.Random(f"{seed}/{epoch}").random
    for last in range(samples - 1, 0, -1):
        other = int(draw() * (last + 1))
        indices[last], indices[other] = indices[other], indices[last]
    return indices


def share(indices: Sequence[int], cursor: int, batch: int, world: int, rank: int) -> tuple[list[int], int]:
    """A rank's part of the global batch at ``cursor``, and how many of all ranks' samples are repeated.

    The ranks take turns, so that the last batch is shared as evenly as can be. A rank that would get
    nothing of it takes a sample from the epoch's beginning again: ranks with unequal numbers of batches
    would wait for each other forever.

    >>> share(range(7), 4, 2, 2, 0), share(range(7), 4, 2, 2, 1)
    (([4, 6], 0), ([5], 0))
    >>> share(range(7), 6, 1, 2, 1)
    ([0], 1)
    """
    end = min(cursor + batch * world, len(indices))
    idle = max(0, world - (end - cursor))
    mine = list(indices[cursor + rank : end : world])
    return mine or [indices[(rank - (end - cursor)) % len(indices)]], idle
