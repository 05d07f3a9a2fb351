"""What becomes of a file of an output directory when a job begins again: pure.

The copy in storage may be newer (the job has run elsewhere since), or the local one (its node died before
it was uploaded). The journal says which of the two has changed since they were alike; mtimes do not.

    in storage alone                                FETCH
    here alone                                      SEND
    neither has changed since they were alike       ALIKE
    only the one in storage has changed             FETCH
    only the local one has changed                  SEND
    both have, or nothing is known                  COMPARE: alike, or the local one is kept and that is said
"""

from enum import Enum

from ..plan import Record
from ..store import Entry


class Resume(Enum):
    FETCH = "fetch"
    SEND = "send"
    ALIKE = "alike"
    COMPARE = "compare"


def resume(local: Entry | None, remote: Entry | None, record: Record | None) -> Resume:
    """``record``: the stamps of the local one (``source``) and of the other when they were last alike."""
    if local is None:
        return Resume.FETCH
    if remote is None:
        return Resume.SEND
    if record is None:
        return Resume.COMPARE
    here, there = record.source == local.stamp, record.target == remote.stamp
    if here and there:
        return Resume.ALIKE
    if here:
        return Resume.FETCH
    return Resume.SEND if there else Resume.COMPARE
