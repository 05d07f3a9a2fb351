"""Virtual time, and a network whose links can be slow, cut in either direction, or reset."""

import heapq
import random
from collections.abc import Callable
from typing import Any, Protocol

FIN = object()  # the last thing on a connection that was closed
DIAL_TIMEOUT = 3.0  # seconds


class Clock:
    """Runs what was put on it, in order of time; seeded, so that a run can be repeated."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0

    def after(self, seconds: float, run: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self._events, (self.now + seconds, self.count, run))

    def run(self, until: float, over: Callable[[], bool]) -> None:
        while self._events and self._events[0][0] <= until and not over():
            self.now, _, run = heapq.heappop(self._events)
            run()


class Peer(Protocol):
    """One end's owner."""

    def on_message(self, connection: "Connection", message: Any) -> None: ...
    def on_closed(self, connection: "Connection", why: str) -> None: ...


class Connection:
    """In order and without loss, as TCP: what a cut link holds back arrives when it is whole again."""

    def __init__(self, network: "Network", hosts: tuple[str, str]) -> None:
        self._network, self.hosts = network, hosts
        self.peers: list[Peer | None] = [None, None]  # None: that end is closed
        self._held: tuple[list[Any], list[Any]] = ([], [])
        self._arrival = [0.0, 0.0]

    def send(self, side: int, item: Any) -> None:
        """From ``side`` to the other."""
        if self.peers[side] is None:
            return
        clock = self._network.clock
        self._arrival[side] = max(self._arrival[side], clock.now + self._network.delay())
        clock.after(self._arrival[side] - clock.now, lambda: self._arrive(side, item))

    def close(self, side: int) -> None:
        """The process at ``side`` closes it, or its kernel does when it dies."""
        self.send(side, FIN)
        self.peers[side] = None

    def vanish(self, side: int) -> None:
        """The machine at ``side`` loses power."""
        self.peers[side] = None

    def reset(self) -> None:
        for side in (0, 1):
            self._end(side, "connection reset by peer")

    def flush(self) -> None:
        for side in (0, 1):
            held = self._held[side][:]
            self._held[side].clear()
            for item in held:
                self._arrive(side, item)

    def _arrive(self, side: int, item: Any) -> None:
        here, there = self.hosts[side], self.hosts[1 - side]
        if self._network.is_cut(here, there) or self._held[side]:
            self._held[side].append(item)
            return
        peer = self.peers[1 - side]
        if item is FIN:
            self._end(1 - side, "the other side closed")
        elif peer is not None:
            peer.on_message(self, item)

    def _end(self, side: int, why: str) -> None:
        peer, self.peers[side] = self.peers[side], None
        if peer is not None:
            peer.on_closed(self, why)


class Network:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cuts: set[tuple[str, str]] = set()
        self.connections: list[Connection] = []
        self.listeners: dict[tuple[str, int], Callable[[Connection], Peer]] = {}

    def delay(self) -> float:
        random = self.clock.random
        return random.uniform(0.0005, 0.005) if random.random() < 0.95 else random.uniform(0.05, 0.4)

    def is_cut(self, here: str, there: str) -> bool:
        return (here, there) in self.cuts

    def cut(self, pairs: set[tuple[str, str]]) -> None:
        self.cuts |= pairs

    def heal(self, pairs: set[tuple[str, str]]) -> None:
        self.cuts -= pairs
        self.connections = [c for c in self.connections if any(c.peers)]
        for connection in list(self.connections):
            connection.flush()

    def dial(
        self,
        here: str,
        target: tuple[str, int],
        on_open: Callable[[Connection], Peer],
        on_failed: Callable[[str], None],
    ) -> None:
        """Three packets, as it were: one lost is all lost."""

        def arrive() -> None:
            cut = self.is_cut(here, target[0]) or self.is_cut(target[0], here)
            if cut:
                self.clock.after(DIAL_TIMEOUT, lambda: on_failed("no answer within 3 s"))
            elif target not in self.listeners:
                on_failed("connection refused")
            else:
                connection = Connection(self, (here, target[0]))
                connection.peers[1] = self.listeners[target](connection)
                connection.peers[0] = on_open(connection)
                self.connections.append(connection)

        self.clock.after(2 * self.delay(), arrive)
