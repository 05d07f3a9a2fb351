"""Which rank failed first. Not by order of exit: one that raises and then cleans up exits last.

Class first, then time within the node:

    0  its own failure: an exception, an exit code, a signal that we did not send
    1  it was handling an exception when we stopped it, which may have been on its way out
    2  a consequence: it lost a peer, or waits for one that hangs
    3  it ended because we stopped it
"""

from collections.abc import Iterable, Sequence

from .failure import WorkerFailure


def _kind(failure: WorkerFailure) -> int:
    kind = 3 if failure.by_us else 2 if failure.is_consequence else 0
    return 1 if kind == 0 and failure.error.get("in_flight") else kind


def _order(failure: WorkerFailure) -> tuple[int, float, int]:
    return _kind(failure), failure.began, failure.rank


def root_cause(failures: Iterable[WorkerFailure]) -> WorkerFailure:
    """The failure that the others follow from. Raises ValueError where there is none."""
    return min(failures, key=_order)


def root_cause_of_nodes(nodes: Sequence[Sequence[WorkerFailure]]) -> tuple[WorkerFailure, int]:
    """The same over several nodes, each with its failures; and the index of its node.

    ``nodes`` come in the order in which they reported: their clocks are not compared. Raises
    ValueError where there is none.
    """
    roots = [(root_cause(failures), index) for index, failures in enumerate(nodes) if failures]
    return min(roots, key=lambda root: (_kind(root[0]), root[1]))
