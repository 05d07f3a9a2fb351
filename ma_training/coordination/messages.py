"""What agents and their leader say to each other: plain records, JSON on the wire.

An **epoch** is the reign of one leader, an **attempt** one try of the job; a message of another
epoch or attempt is not acted upon. An attempt's plan is never sent whole: each agent gets its slice
and the plan's digest.

An agent that comes:   Hello ─▶        ◀─ Welcome
A leader that must first be elected, or be recognised again:
                       Hello ─▶        ◀─ Standby        Vote ─▶        ◀─ Welcome
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

_Record = TypeVar("_Record")
_KINDS: dict[str, type["Message"]] = {}


class MessageError(ValueError):
    """A peer has sent what no message looks like; the text says what."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all agents of a job must agree on."""

    min_nodes: int
    max_nodes: int
    spare_nodes: int
    nproc: int  # workers a node
    max_restarts: int

    def difference(self, other: "Terms") -> str:
        """'--max-restarts 5 where the job has 3' and the like; '' where there is none."""
        options = {"nproc": "--nproc-per-node", "min_nodes": "--nnodes", "max_nodes": "--nnodes"}
        for item in fields(self):
            own, theirs = getattr(self, item.name), getattr(other, item.name)
            if own != theirs:
                option = options.get(item.name, "--" + item.name.replace("_", "-"))
                return f"{option} {own} where the job has {theirs}"
        return ""


@dataclass(frozen=True, slots=True)
class Successor:
    """Who may lead when the leader is gone; in order."""

    node: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Slice:
    """An agent's part of an attempt's plan, and what a new leader has to know of the job."""

    epoch: int
    attempt: int
    node_rank: int  # -1: it is not in it
    nnodes: int
    master_addr: str
    master_port: int
    digest: str
    leader: str = ""  # the node that leads; "" for a coordinator, which is none of the nodes
    base: int = -1  # the last attempt of which all of its nodes have heard
    base_nodes: int = 0  # how many those were
    in_base: bool = False  # this node was one of them
    same: bool = False  # they are the same nodes
    given: bool = False  # each node has the rank that its user has given it
    ledger: tuple[Mapping[str, Any], ...] = ()  # how earlier attempts failed
    successors: tuple[Successor, ...] = ()

    @property
    def survivors(self) -> int:
        """Nodes that there are when the leader is lost."""
        return self.nnodes - bool(self.leader)


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all; ``kind`` names a message on the wire."""

    def __init_subclass__(cls) -> None:
        _KINDS[cls.__name__] = cls


# --- agents to leader ---


@dataclass(frozen=True, slots=True)
class Hello(Message):
    node: str  # of this agent process
    host: str
    address: str  # where the others reach it
    terms: Terms
    node_rank: int | None = None  # the one that the user or platform has given it
    port: int = 0  # it listens there when it has to lead
    epoch: int = 0  # the last that it has voted for, or followed
    leader: str = ""  # whose epoch that was
    attempt: int = -1  # the highest that it has heard of
    last: Slice | None = None  # the last attempt that it was in, or beside
    running: bool = False  # its workers still are
    settled: bool = False  # all nodes of that attempt have heard of it
    done: "Done | None" = None  # how they ended, unless it ended them itself for want of a leader
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PortHeld(Message):
    """Of the agent that will be rank 0."""

    attempt: int
    port: int


@dataclass(frozen=True, slots=True)
class WorkerFailed(Message):
    """The first failure here. ``consequence``: it looks as if another node's came before it."""

    attempt: int
    failure: Mapping[str, Any]
    consequence: bool


@dataclass(frozen=True, slots=True)
class Stands(Message):
    """All workers here wait for others, for longer than they may: the failure that this is if those, too,
    only wait. None: they go on. Said again and again, as leaders change."""

    attempt: int
    failure: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Done(Message):
    """No process of the attempt is left here."""

    attempt: int
    failures: tuple[Mapping[str, Any], ...]  # none: all workers ended well
    steps: int | None = None
    abandoned: tuple[int, ...] = ()  # ranks that could not be killed
    cut_short: bool = False  # they were ended, not heard out


@dataclass(frozen=True, slots=True)
class Leave(Message):
    """This agent ends. ``signal``: the one that its user or scheduler sent."""

    why: str
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Ping(Message):
    attempt: int = -1  # the last that it has heard of


@dataclass(frozen=True, slots=True)
class Vote(Message):
    """From now on it obeys no one of a lower epoch, and no one else of this one."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Elsewhere(Message):
    """The job is led there: a successor says it at the job's endpoint, a leader there to its agents."""

    epoch: int
    address: str
    port: int


# --- leader to agents ---


@dataclass(frozen=True, slots=True)
class Standby(Message):
    """Wait: ``leader`` asks for votes, and does not lead before it has most of them."""

    epoch: int
    leader: str


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    epoch: int
    leader: str  # of this process, not only of its machine
    run_id: str


@dataclass(frozen=True, slots=True)
class Refuse(Message):
    """You cannot take part; the agent ends."""

    why: str


@dataclass(frozen=True, slots=True)
class HoldPort(Message):
    epoch: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Start(Message):
    slice: Slice


@dataclass(frozen=True, slots=True)
class Aside(Message):
    """An attempt begins without you: you are a spare, or left out."""

    slice: Slice  # of no rank
    why: str  # "" where it has been said


@dataclass(frozen=True, slots=True)
class Stop(Message):
    """Your workers are to end. ``settle``: ask them first what they are dying of."""

    epoch: int
    attempt: int
    why: str
    settle: bool = False


@dataclass(frozen=True, slots=True)
class End(Message):
    """The job is over."""

    outcome: str  # succeeded, failed, stopped
    exit_code: int
    reason: str
    restarts: int
    node: int = -1  # node rank where the first failure was; -1: none
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Note(Message):
    """For the agent's user to read."""

    text: str


@dataclass(frozen=True, slots=True)
class Pong(Message):
    epoch: int
    settled: int = -1  # the last attempt of which all of its nodes have heard


def pack(message: Message) -> dict[str, Any]:
    return {"kind": type(message).__name__, **_plain(message)}


def _plain(record: Any) -> dict[str, Any]:
    """Not `asdict`, which copies: a plan's slices share all but two numbers."""
    found = {name: getattr(record, name) for name in record.__dataclass_fields__}
    for name, value in found.items():
        if hasattr(value, "__dataclass_fields__"):
            found[name] = _plain(value)
        elif name == "successors":
            found[name] = [_plain(each) for each in value]
    return found


def unpack(record: Mapping[str, Any]) -> Message:
    """Raises MessageError."""
    kind = _KINDS.get(str(record.get("kind")))
    if kind is None:
        raise MessageError(f"unknown message {str(record.get('kind'))[:40]!r}")
    values = {name: value for name, value in record.items() if name != "kind"}
    try:
        for name in values.keys() & _PARTS.keys():
            values[name] = _PARTS[name](values[name])
        message = kind(**values)
    except (TypeError, KeyError, AttributeError) as error:
        raise MessageError(f"{kind.__name__} is not as it should be: {error}") from None
    _check(message)
    return message


def _slice(record: Mapping[str, Any] | None) -> Slice | None:
    if record is None:
        return None
    return _check(
        Slice(
            **{**record, "ledger": tuple(record["ledger"]), "successors": _successors(record["successors"])}
        )
    )


def _successors(records: Sequence[Mapping[str, Any]]) -> tuple[Successor, ...]:
    return tuple(_check(Successor(**each)) for each in records)


def _done(record: Mapping[str, Any] | None) -> Done | None:
    return None if record is None else _check(_done_of(record))


def _done_of(record: Mapping[str, Any]) -> Done:
    return Done(**{**record, "failures": tuple(record["failures"]), "abandoned": tuple(record["abandoned"])})


_PARTS: dict[str, Callable[[Any], Any]] = {  # what is more than a scalar, by its name in any message
    "terms": lambda record: _check(Terms(**record)),
    "slice": lambda record: _slice({**record}),
    "last": _slice,
    "done": _done,
    "successors": _successors,
    "failures": tuple,
    "abandoned": tuple,
}


_SCALARS = {"int": int, "str": str, "bool": bool}


_checks: dict[str, tuple[tuple[str, type], ...]] = {}  # fields of a record that are scalars


def _check(message: _Record) -> _Record:
    """Scalars are of the type that is written beside them."""
    kind = type(message).__name__
    if kind not in _checks:
        written = ((f.name, str(getattr(f.type, "__name__", f.type))) for f in fields(message))  # type: ignore[arg-type]
        _checks[kind] = tuple((name, _SCALARS[text]) for name, text in written if text in _SCALARS)
    for name, wanted in _checks[kind]:
        value = getattr(message, name)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise MessageError(f"{kind}.{name} is {str(value)[:40]!r}")
    return message
