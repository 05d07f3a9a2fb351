"""Whether a job of several nodes hangs, by what its nodes have found."""

from collections.abc import Collection, Mapping

from .findings import Hang


def job_hangs(hangs: Mapping[str, Hang], nodes: Collection[str]) -> bool:
    """``hangs``: by node, those that have not been cleared; ``nodes``: all that have ranks in this attempt.

    A node whose ranks only wait says nothing alone: they may wait for a rank elsewhere that evaluates, or
    saves. If no node is left that could be at work, the job hangs.
    """
    if any(not hang.waiting_only for node, hang in hangs.items() if node in nodes):
        return True
    return bool(nodes) and all(node in hangs for node in nodes)
