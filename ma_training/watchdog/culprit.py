"""Who holds the others up, said in a sentence. Pure.

In a hang most ranks wait for the others; the one that does not is the culprit. What each is busy with:

    stopped, kernel      it cannot run at all                              culprit
    mute                 no one could look into it                         culprit, if the others wait
    gil, loader, lock,   something of its own                              culprit
    exit, write, own
    (weak) busy, lock    in C: a lock, a loop, a socket; `work.wait()` and waits, if another is a culprit
                         `loss.item()` look like this                      or the recorder says so
    maybe                backward, synchronize: waits for a device or      waits, if nothing better
                         for gradients, or computes                        is known
    collective, meeting  waits for its peers
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .flight_recorder import Recorder
from .grouping import Group, group, spell_ranks
from .occupation import Activity, activity_of
from .samples import Sample

KINDS = (
    *("stopped", "kernel", "mute", "gil", "exit", "loader", "log writer", "write", "read", "lock", "sleep"),
    *("own", "busy", "ended", "mismatch", "skipped", "meeting", "elsewhere"),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of one node. ``kind``, one of KINDS, is the catalogue's condition ``hang``; '' where all get on."""

    sentence: str
    culprits: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    kind: str = ""
    groups: tuple[Group, ...] = field(default=(), compare=False)

    @property
    def waiting_only(self) -> bool:
        """All ranks here wait for others: the culprit is on another node, or what is waited on is broken."""
        return bool(self.waiting) and not self.culprits


def explain(
    samples: Sequence[Sample],
    recorder: Recorder | None = None,
    since: Mapping[int, float] | None = None,
    ended: Sequence[int] = (),
) -> Explanation:
    """``since``: for how many seconds a rank has done nothing new. ``ended``: ranks whose script is over."""
    activities = {sample.rank: _known(activity_of(sample), sample.rank, recorder) for sample in samples}
    groups = group(samples)
    waiting, culprits = _parted(activities)
    kind = ""
    if not culprits and waiting and ended:
        culprits, kind = tuple(sorted(ended)), "ended"
    elif not culprits and recorder and (found := recorder.different() or recorder.lagging()):
        culprits = tuple(rank for rank in found if rank in activities)
    elif not culprits and len(_places(activities, waiting)) > 1:
        culprits = _minority(activities, waiting)
    waiting = tuple(rank for rank in waiting if rank not in culprits)
    kind = kind or _kind(activities, culprits, waiting, recorder)
    sentence = _sentence(activities, culprits, waiting, ended, since or {})
    if recorder and (said := recorder.sentence()):
        sentence = f"{sentence}; {said}" if sentence else said
    return Explanation(sentence, culprits, waiting, kind, groups)


def _parted(activities: Mapping[int, Activity]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(who waits for others, who does not)."""
    certain = [rank for rank, activity in activities.items() if activity.waits]
    perhaps = [rank for rank, activity in activities.items() if activity.may_wait]
    others = [rank for rank in activities if rank not in certain and rank not in perhaps]
    strong = [rank for rank in others if not activities[rank].weak]
    # One that no one could look into proves nothing where nobody is known to wait.
    if not certain and not perhaps and all(activities[rank].kind == "mute" for rank in others):
        return (), ()
    culprits = strong or others
    return tuple(sorted(set(activities) - set(culprits))), tuple(sorted(culprits))


def _known(activity: Activity, rank: int, recorder: Recorder | None) -> Activity:
    """What the recorder adds: a wait in C is one in the collective that the rank has entered last."""
    call = recorder.pending(rank) if recorder else None
    if not activity.weak or call is None or rank in (recorder.lagging() if recorder else ()):
        return activity
    return Activity("collective", call.operation, activity.where)


def _places(activities: Mapping[int, Activity], ranks: Sequence[int]) -> dict[str, list[int]]:
    """Ranks by what they wait in."""
    found: dict[str, list[int]] = {}
    for rank in ranks:
        found.setdefault(activities[rank].what, []).append(rank)
    return found


def _minority(activities: Mapping[int, Activity], waiting: Sequence[int]) -> tuple[int, ...]:
    """Of ranks that wait in different collectives, those that are fewer; none where it stands even."""
    groups = sorted(_places(activities, waiting).values(), key=len)
    return tuple(groups[0]) if len(groups[0]) < len(groups[-1]) else ()


def _kind(
    activities: Mapping[int, Activity],
    culprits: Sequence[int],
    waiting: Sequence[int],
    recorder: Recorder | None,
) -> str:
    if recorder and recorder.mismatch() and set(culprits) <= set(recorder.different()):
        return "mismatch"
    kinds = [activities[rank].kind for rank in culprits if rank in activities]
    if kinds and kinds[0] not in ("collective", "meeting", "maybe"):
        first = activities[next(rank for rank in culprits if rank in activities)]
        return first.cause
    if culprits or len(_places(activities, waiting)) > 1:
        return "skipped"
    if waiting and all(activities[rank].kind == "meeting" for rank in waiting):
        return "meeting"
    return "elsewhere" if waiting else ""


def _sentence(
    activities: Mapping[int, Activity],
    culprits: Sequence[int],
    waiting: Sequence[int],
    ended: Sequence[int],
    since: Mapping[int, float],
) -> str:
    parts = _clauses(activities, waiting, {})
    parts += _clauses(activities, [rank for rank in culprits if rank in activities], since)
    gone = [rank for rank in culprits if rank in ended]
    if gone:
        parts.append(f"{spell_ranks(gone)} {'has' if len(gone) == 1 else 'have'} ended")
    return "; ".join(parts)


def _clauses(
    activities: Mapping[int, Activity], ranks: Sequence[int], since: Mapping[int, float]
) -> list[str]:
    """Ranks that do the same in one clause, the longest held up first."""
    groups: dict[Activity, list[int]] = {}
    for rank in ranks:
        groups.setdefault(activities[rank], []).append(rank)
    found = []
    for activity, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[1])):
        longest = max((since[rank] for rank in members if rank in since), default=None)
        ago = f" since {clock(longest)}" if longest is not None else ""
        found.append(f"{spell_ranks(members)} {activity.words(len(members))}{ago}")
    return found


def clock(seconds: float) -> str:
    """
    >>> clock(252.9)
    '00:04:12'
    """
    whole = max(0, int(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
