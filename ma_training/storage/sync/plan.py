"""Which files of a folder that is written to are due to be uploaded: pure, times are arguments.

    as the journal has it                               not due
    large, and uploaded only a while ago                not due: storage cannot append, all is sent again
    new, and its mtime is old enough                    due
    looked at before, and unchanged for long enough     due
    changing all the time, for as long as is tolerated  due, at its present size
    else                                                later

Unchanged is what was seen to be so by our own clock: the mtime, which may be of a file server's clock, only
shortens the wait for files that were written before we looked.
"""

from dataclasses import dataclass

from ..store import Entry


@dataclass(frozen=True, slots=True)
class Rule:
    """Seconds. ``quiet``: without a change. ``patience``: after which a file that is never quiet is taken.

    ``rate``: bytes a second that one file which changes again and again may take of the network.
    """

    quiet: float = 5.0
    patience: float = 60.0
    rate: float = 4 << 20


@dataclass(frozen=True, slots=True)
class _Seen:
    stamp: str
    since: float  # it has had this stamp
    first: float  # it has waited to be uploaded


class Watch:
    """What was seen of files that are not uploaded yet; the journal knows the others."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._seen: dict[str, _Seen] = {}
        self._taken: dict[str, float] = {}  # when large ones were last due

    def is_due(self, entry: Entry, known: str | None, now: float, wall: float) -> bool:
        """``known``: its stamp when it was last uploaded. ``now``: of any clock that never goes back;
        ``wall``: seconds since the epoch."""
        if known == entry.stamp:
            self._seen.pop(entry.key, None)
            return False
        due = self._is_still(entry, now, wall) and self._is_affordable(entry, now)
        if due and entry.size > self._rule.rate:
            self._taken[entry.key] = now
        return due

    def _is_still(self, entry: Entry, now: float, wall: float) -> bool:
        seen = self._seen.get(entry.key)
        if seen is None:
            self._seen[entry.key] = _Seen(entry.stamp, now, now)
            return wall - entry.mtime_ns / 1e9 >= self._rule.quiet
        if seen.stamp != entry.stamp:
            seen = self._seen[entry.key] = _Seen(entry.stamp, now, seen.first)
        return now - seen.since >= self._rule.quiet or now - seen.first >= self._rule.patience

    def _is_affordable(self, entry: Entry, now: float) -> bool:
        taken = self._taken.get(entry.key)
        return taken is None or now - taken >= entry.size / self._rule.rate

    def __len__(self) -> int:
        return len(self._seen)
