"""When hangs end a job: after the third in a row without progress between them (exit code 77)."""

from collections.abc import Sequence

from .figures import HANGS


def spent(hangs: Sequence[int | None]) -> bool:
    """``hangs``: of each attempt that hung, oldest first, the most steps that any rank did in it.

    No step, as many steps as in the hang before, or steps that cannot be counted: that is no progress, by the
    same reasoning as for failures (docs/decisions/0005-progress.md).

    >>> spent([40, 40]), spent([40, 40, 40]), spent([40, 40, 55]), spent([None, None, None])
    (False, True, False, True)
    """
    row = 0
    before: int | None = None
    for steps in hangs:
        row = 1 if steps and steps != before else row + 1
        before = steps
    return row >= HANGS
