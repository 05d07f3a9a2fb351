"""How long a rank that makes no progress may stand as it stands: each sign of life buys time.

    what is seen of the main thread and its tree         patience
    it is elsewhere in each sample, or no one can look
      and it is busy                                     without end
    a debugger has it                                    without end
    it is elsewhere in each sample, and nothing moves    NOTHING_KNOWN
    stopped by a signal, while others are not            CONFIRM
    nothing known, and devices at rest (unknown.py)      none
    in a collective, at the same place                   CONFIRM; where nothing is known FIRST_COLLECTIVE
    the same place, nothing moves                        CONFIRM; where nothing is known NOTHING_KNOWN
    the same place, holding the GIL, busy                CONFIRM; where nothing is known as a long call
    the last three, if it was elsewhere when suspected   the limit once more; as a long call
    the same place, busy without the GIL (a long call)   LONG_CALL; SPIN while a device is full
    the same place, while a device works                 the same; where nothing is known, see unknown.py
    the same place, and output, disk, network, IO        LOG_MOVES, DISK, NETWORK_MOVES, IO_MOVES
    nothing moves, but no one can look                   UNSEEN; where nothing is known NOTHING_KNOWN as well

"Known" is the phase's usual length.
"""

from dataclasses import dataclass
from math import inf

from .activity import Activity
from .figures import (
    CONFIRM,
    COPIES,
    DEVICE_FULL,
    DEVICE_IDLE,
    DISK,
    FIRST_COLLECTIVE,
    IO_MOVES,
    LOG_MOVES,
    LONG_CALL,
    NETWORK_MOVES,
    NOTHING_KNOWN,
    NPU_CPU,
    NPU_ROUND,
    SPIN,
    SPIN_LIMITS,
    UNSEEN,
)
from .places import Place


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds for all ranks of a suspicion. Times are the job's."""

    now: float
    since: float  # of the suspicion
    limit: float
    known: bool  # the limit was learned, or given
    network: bool  # bytes move
    level: float | None = None  # percent, of the busiest device, now
    device: float = 0.0  # seconds that the devices' work buys where nothing is known
    rest: str = ""  # devices are at rest, in words


@dataclass(frozen=True, slots=True)
class Standing:
    """How a rank stands. It hangs when it has stood so for as long as it may."""

    kind: str  # "moves", "stopped", "waits", "still", "spins", "calls", "polls", "rests", "unseen"
    stood: float  # seconds
    patience: float  # seconds
    words: str

    @property
    def hangs(self) -> bool:
        return self.stood >= self.patience


def standing(activity: Activity, place: Place, around: Surroundings) -> Standing:
    now = around.now
    if activity.stopped:
        stood = now - max(activity.flat_since, around.since)
        return Standing("stopped", stood, CONFIRM, "is stopped by a signal (state T)")
    if around.rest and not around.known and activity.cores < NPU_CPU / NPU_ROUND:
        return Standing("rests", now - activity.flat_since, 0.0, around.rest)
    if not place.visible(now):
        return _unseen(activity, around)
    if not place.still():
        return _moving(activity, place, around)
    stood = now - place.since
    if place.debugged:
        return Standing("moves", 0.0, inf, "is at a debugger's prompt")
    if place.collective:
        patience = _confirm(place, around) if around.known else FIRST_COLLECTIVE
        if not around.known:  # who sleeps in it came there before anyone looked
            stood = max(stood, now - activity.flat_since)
        patience = max(patience, _signs(activity, around, collective=True))
        return Standing("waits", stood, patience, f"waits in {place.collective}, {place}")
    return _at_one_place(activity, place, around, stood)


def _at_one_place(activity: Activity, place: Place, around: Surroundings, stood: float) -> Standing:
    signs = _signs(activity, around)
    if not activity.busy(around.now):
        if around.known:
            if around.level is not None and around.level >= DEVICE_IDLE:
                signs = max(signs, _long_call(around))
            stood = min(stood, activity.without_cpu(around.now))
            return Standing(
                "still", stood, max(_confirm(place, around), signs), f"stands still {place}: {_FLAT}"
            )
        flat = around.now - activity.flat_since
        return Standing("still", flat, max(NOTHING_KNOWN, signs), f"stands still {place}: {_FLAT}")
    long_call = _long_call(around)
    if place.holds_gil:
        patience = max(CONFIRM if around.known and not place.moved else min(long_call, LONG_CALL), signs)
        return Standing("spins", stood, patience, f"holds the GIL {place} all the time, busy")
    return Standing("calls", stood, max(long_call, signs), f"is busy in one call {place}")


def _moving(activity: Activity, place: Place, around: Surroundings) -> Standing:
    flat = around.now - activity.flat_since
    if place.debugged or flat < NOTHING_KNOWN:
        return Standing("moves", 0.0, inf, f"was last seen {place}")
    patience = max(NOTHING_KNOWN, _signs(activity, around))
    return Standing("polls", flat, patience, f"goes in circles, last seen {place}: {_FLAT}")


def _unseen(activity: Activity, around: Surroundings) -> Standing:
    if activity.busy(around.now):
        return Standing("moves", 0.0, inf, "is busy, and its stack cannot be seen")
    flat = around.now - activity.flat_since
    stood = min(flat, around.now - around.since)
    if not around.known and flat < NOTHING_KNOWN:
        stood = 0.0
    return Standing(
        "unseen", stood, max(UNSEEN, _signs(activity, around)), f"{_FLAT}; its stack is not known"
    )


def _signs(activity: Activity, around: Surroundings, collective: bool = False) -> float:
    """Seconds that signs of life buy, even where the stack stays the same."""
    signs = [0.0]
    if activity.reads_or_writes(around.now):
        signs.append(IO_MOVES if around.known else COPIES)
    if activity.logged_since(around.since):
        signs.append(LOG_MOVES)
    if around.network and not collective:
        signs.append(NETWORK_MOVES)
    if activity.in_kernel(around.now):
        signs.append(DISK)
    if not around.known and not collective:
        signs.append(around.device)
    return max(signs)


def _confirm(place: Place, around: Surroundings) -> float:
    """What hangs stood there before the limit was over. What has moved since was at work until then."""
    return max(CONFIRM, around.limit) if place.moved else CONFIRM


def _long_call(around: Surroundings) -> float:
    """A kernel that waits for its peers keeps a device full; one that computes for minutes is rare."""
    if around.level is not None and around.level >= DEVICE_FULL:
        return max(SPIN, SPIN_LIMITS * around.limit)
    return LONG_CALL if around.known else COPIES


_FLAT = "no CPU time, no IO, no output"
