"""What agents and their leader say to each other: plain records, JSON on the wire.

An **epoch** is the reign of one leader, an **attempt** one try of the job; a message of an older
epoch or another attempt is not acted upon. An attempt's plan is never sent whole: each agent gets
its slice and the plan's digest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

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
    node_rank: int
    nnodes: int
    master_addr: str
    master_port: int
    digest: str
    ledger: tuple[Mapping[str, Any], ...] = ()  # how earlier attempts failed
    successors: tuple[Successor, ...] = ()


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
    epoch: int = 0  # the last that it followed
    running: Slice | None = None  # the attempt that its workers are in
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
class Done(Message):
    """No process of the attempt is left here."""

    attempt: int
    failures: tuple[Mapping[str, Any], ...]  # none: all workers ended well
    steps: int | None = None
    abandoned: tuple[int, ...] = ()  # ranks that could not be killed


@dataclass(frozen=True, slots=True)
class Leave(Message):
    """This agent ends. ``signal``: the one that its user or scheduler sent."""

    why: str
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Ping(Message):
    pass


# --- leader to agents ---


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    epoch: int
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
        if kind is Hello:
            values["terms"] = Terms(**values["terms"])
            values["running"] = _slice(values["running"]) if values.get("running") else None
        if kind is Start:
            values["slice"] = _slice(values["slice"])
        for name in ("failures", "abandoned"):
            if name in values:
                values[name] = tuple(values[name])
        message = kind(**values)
    except (TypeError, KeyError) as error:
        raise MessageError(f"{kind.__name__} is not as it should be: {error}") from None
    _check(message)
    return message


def _slice(record: Mapping[str, Any]) -> Slice:
    successors = tuple(Successor(**each) for each in record["successors"])
    return Slice(**{**record, "ledger": tuple(record["ledger"]), "successors": successors})


def _check(message: Any) -> None:
    """Scalars are of the type that is written beside them."""
    scalars = {"int": int, "str": str, "bool": bool}
    for item in fields(message):
        value, wanted = (
            getattr(message, item.name),
            scalars.get(str(getattr(item.type, "__name__", item.type))),
        )
        if wanted and not (isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))):
            raise MessageError(f"{type(message).__name__}.{item.name} is {str(value)[:40]!r}")
