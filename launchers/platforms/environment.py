"""What a platform class reads: variables with their names, so that every fact knows who said it."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from launchers.cli.errors import UsageError
from ma_training.devices import count_gpus, count_npus

Value = TypeVar("Value")
HINT = "--platform local ignores what the environment says about nodes and ranks"


class Fact(Generic[Value]):
    """A value, and ``origin``: the variable, file or option that said so."""

    __slots__ = ("origin", "value")

    def __init__(self, value: Value, origin: str) -> None:
        self.value, self.origin = value, origin


class Environment:
    """An empty variable counts as not set. All readers raise UsageError, naming the variable, for damage."""

    def __init__(
        self,
        variables: Mapping[str, str] = os.environ,
        arguments: Sequence[str] = (),
        hostname: Callable[[], str] = socket.gethostname,
        root: Path = Path("/"),
    ) -> None:
        self.variables, self.arguments, self.root = variables, arguments, root
        self._hostname = hostname

    def __contains__(self, name: str) -> bool:
        return bool(self.variables.get(name, "").strip())

    @property
    def hostname(self) -> str:
        return self._hostname()

    def gpus(self) -> int:
        """Those on this machine that CUDA_VISIBLE_DEVICES leaves; NPUs likewise."""
        return count_gpus(self.variables, self.root / "dev")

    def npus(self) -> int:
        return count_npus(self.variables, self.root / "dev")

    def text(self, *names: str) -> Fact[str] | None:
        """The first of ``names`` that is set."""
        for name in names:
            if name in self:
                return Fact(self.variables[name].strip(), name)
        return None

    def whole(self, *names: str, least: int = 0) -> Fact[int] | None:
        """The first of ``names`` that is set, as a whole number."""
        fact = self.text(*names)
        return None if fact is None else Fact(_whole(fact, least), fact.origin)

    def agreed(self, *names: str, least: int = 0) -> Fact[int] | None:
        """Several variables of one meaning: all that are set must say the same."""
        facts = [fact for name in names if (fact := self.whole(name, least=least))]
        for other in facts[1:]:
            if other.value != facts[0].value:
                raise contradiction(facts[0], other)
        return facts[0] if facts else None

    def hosts(self, *names: str) -> Fact[tuple[str, ...]] | None:
        """A comma-separated list; ports are dropped."""
        fact = self.text(*names)
        if fact is None:
            return None
        return host_list(fact.value.split(","), fact.origin)

    def json(self, name: str) -> Fact[Any] | None:
        fact = self.text(name)
        if fact is None:
            return None
        import json

        try:
            return Fact(json.loads(fact.value), name)
        except ValueError as error:
            raise UsageError(f"{name} is not JSON: {error}: {fact.value[:200]!r}", HINT) from None


def contradiction(one: Fact[Any], other: Fact[Any]) -> UsageError:
    return UsageError(f"{one.origin} says {one.value}, but {other.origin} says {other.value}", HINT)


def host_list(entries: Sequence[str], origin: str) -> Fact[tuple[str, ...]]:
    hosts = tuple(split_endpoint(entry.strip(), origin)[0] for entry in entries)
    for number, host in enumerate(hosts):
        if not host:
            shown = ",".join(entries)[:200]
            raise UsageError(f"{origin}: entry {number + 1} of the host list is empty: {shown!r}", HINT)
        if host in hosts[:number]:
            raise UsageError(f"{origin} names the host {host} twice", HINT)
    return Fact(hosts, origin)


def split_endpoint(text: str, origin: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]:port``, or an IPv6 address without brackets.

    >>> split_endpoint("n1:6666", "X"), split_endpoint("[fd00::1]:6666", "X"), split_endpoint("fd00::1", "X")
    (('n1', 6666), ('fd00::1', 6666), ('fd00::1', None))
    """
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UsageError(f"{origin}: {port!r} in {text!r} is not a port")
    return host, int(port)


def _whole(fact: Fact[str], least: int) -> int:
    try:
        number = int(fact.value)
    except ValueError:
        raise UsageError(f"{fact.origin} is {fact.value!r}, which is not a whole number", HINT) from None
    if number < least:
        raise UsageError(f"{fact.origin} is {number}, but must be at least {least}", HINT)
    return number
