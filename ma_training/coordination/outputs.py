"""What a leader wants done."""

from dataclasses import dataclass

from .messages import End, Message


@dataclass(frozen=True, slots=True)
class Send:
    member: int  # number of the connection
    message: Message


@dataclass(frozen=True, slots=True)
class Drop:
    """Close this connection."""

    member: int
    why: str


@dataclass(frozen=True, slots=True)
class Say:
    """For the leader's own user."""

    text: str


@dataclass(frozen=True, slots=True)
class Resign:
    """Not elected, or outvoted: close all connections, and listen no more."""

    why: str


Output = Send | Drop | Say | Resign | End  # End: the job is over, and all have been told
