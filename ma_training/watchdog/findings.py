"""What the watch finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suspect:
    """No progress for longer than usual: the caller is to sample stacks (`Watch.stacks_due`)."""

    ranks: tuple[int, ...]
    phase: str
    idle: float  # seconds on the clock on the wall
    limit: float  # seconds
    why: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """A suspicion, or a hang that was not ended, is over: there is progress."""

    ranks: tuple[int, ...]
    phase: str
    idle: float  # seconds that it lasted


@dataclass(frozen=True, slots=True)
class Hang:
    """Confirmed by a second kind of evidence."""

    ranks: tuple[int, ...]
    culprits: tuple[int, ...]  # a hint; () where none of the ranks differs from the others
    phase: str
    since: float  # when the last progress was made, seconds of the monotonic clock
    limit: float  # seconds
    evidence: tuple[str, ...]  # in words: of the missing progress first, then what confirmed it
    waiting_only: bool = False  # all of this node's ranks wait for peers, for all that is known (`nodes`)


@dataclass(frozen=True, slots=True)
class Straggler:
    """A rank for which the others wait again and again. ``over``: it has caught up."""

    rank: int
    factor: float  # times the median of its peers
    phase: str
    over: bool = False


Finding = Suspect | Cleared | Hang | Straggler
