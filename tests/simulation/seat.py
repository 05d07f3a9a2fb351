"""One agent's process: the real follower, and the real leader where it leads, on the simulated network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ma_training.coordination.course import Phase
from ma_training.coordination.follower import (
    Begin,
    Connect,
    Disconnect,
    Follower,
    Halt,
    Hold,
    Lead,
    Order,
    Tell,
)
from ma_training.coordination.leader import Leader
from ma_training.coordination.messages import (
    Elsewhere,
    End,
    Hello,
    Message,
    Start,
    Terms,
    pack,
    unpack,
)
from ma_training.coordination.outputs import Drop, Output, Resign, Send

from .network import Connection, Peer

if TYPE_CHECKING:
    from .world import World

PORT = 29500  # the job's endpoint
OWN_PORT = 29999  # where an agent listens when it has to lead
POINT_EVERY = 2.0  # seconds
JOIN_TIMEOUT = 30.0  # seconds
MOST_TICKS = 100  # in a row without time passing: a deadline that does not move


class Timer:
    """Calls ``tick`` whenever ``deadline`` has come; the clock is the process's own."""

    def __init__(
        self, world: "World", deadline: Callable[[], float | None], tick: Callable[[float], None]
    ) -> None:
        self._world, self._deadline, self._tick = world, deadline, tick
        self._armed: float | None = None
        self._last, self._repeats = -1.0, 0
        self.stopped = False
        self.offset = 0.0  # seconds that its clock is ahead

    def arm(self) -> None:
        deadline = None if self.stopped else self._deadline()
        if deadline is None:
            return
        at = max(deadline - self.offset, self._world.clock.now)
        if self._armed is None or at < self._armed:
            self._armed = at
            self._world.clock.after(at - self._world.clock.now, lambda: self._fire(at))

    def _fire(self, at: float) -> None:
        if self._armed != at:
            return
        self._armed = None
        deadline = None if self.stopped else self._deadline()
        if deadline is None:
            return
        now = self._world.clock.now + self.offset
        if deadline <= now + 1e-9:
            self._repeats = self._repeats + 1 if now == self._last else 0
            self._last = now
            assert self._repeats < MOST_TICKS, "a deadline that does not move"
            self._tick(max(now, deadline))
        self.arm()


class Process:
    """What dies and is started again; an agent or a coordinator."""

    def __init__(self, world: "World", host: str) -> None:
        self.world, self.host = world, host
        self.alive = True
        self.offset = world.clock.random.uniform(1000, 9000)  # no two clocks agree
        self.hubs: list[SimulatedHub] = []

    @property
    def now(self) -> float:
        return self.world.clock.now + self.offset

    def open_hub(self, port: int, leader: Leader) -> "SimulatedHub":
        hub = SimulatedHub(self, port, leader)
        self.hubs.append(hub)
        return hub

    def die(self, silently: bool = False) -> None:
        self.alive = False
        for hub in list(self.hubs):
            hub.close(silently)


class SimulatedHub:
    """As `ma_training.coordination.hub`."""

    def __init__(self, process: Process, port: int, leader: Leader) -> None:
        self.process, self.leader, self._port = process, leader, port
        self._world = process.world
        self._connections: dict[int, Connection] = {}
        self._numbers: dict[Connection, int] = {}
        self._next = 1
        self.end: End | None = None
        self._timer = Timer(self._world, lambda: leader.deadline, self._tick)
        self._timer.offset = process.offset
        self._world.network.listeners[process.host, port] = self._accept
        self._world.hubs.append(self)
        self._timer.arm()

    def _accept(self, connection: Connection) -> Peer:
        self._connections[self._next], self._numbers[connection] = connection, self._next
        self._next += 1
        return self

    def on_message(self, connection: Connection, message: Message) -> None:
        number = self._numbers.get(connection)
        if number is None:
            return
        if isinstance(message, Hello):
            self.do(self.leader.joined(number, message, self.process.now))
        else:
            self.do(self.leader.received(number, message, self.process.now))

    def on_closed(self, connection: Connection, why: str) -> None:
        number = self._numbers.pop(connection, None)
        if number is not None:
            del self._connections[number]
            self.do(self.leader.lost(number, why, self.process.now))

    def _tick(self, now: float) -> None:
        self.do(self.leader.tick(now))

    def do(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send) and output.member in self._connections:
                if isinstance(output.message, Start):
                    self._world.on_start_sent(self.leader, output.message.slice)
                self._connections[output.member].send(1, self._world.on_the_wire(output.message))
            elif isinstance(output, Drop):
                self._drop(output.member)
            elif isinstance(output, Resign):
                self.close()
            elif isinstance(output, End):
                self.end = output
                if isinstance(self.process, Coordinator):  # its process ends, and is started again
                    self._world.clock.after(2.0, self._restart)
        self._world.watch(self.leader)
        self._timer.arm()

    def _restart(self) -> None:
        self._world.kill(self.process.host, silently=False, back_after=1.0)

    def _drop(self, number: int) -> None:
        if connection := self._connections.pop(number, None):
            del self._numbers[connection]
            connection.close(1)

    def close(self, silently: bool = False) -> None:
        self._timer.stopped = True
        self._world.network.listeners.pop((self.process.host, self._port), None)
        for connection in self._connections.values():
            connection.vanish(1) if silently else connection.close(1)
        self._connections.clear()
        self._numbers.clear()
        self.process.hubs.remove(self)
        self._world.hubs.remove(self)


class Coordinator(Process):
    """``launcher coordinator``."""

    def __init__(self, world: "World", host: str) -> None:
        super().__init__(world, host)
        self.open_hub(PORT, Leader("job", None, JOIN_TIMEOUT, self.now, world.new_name(host)))


class Seat(Process):
    """An agent; as `ma_training.coordination.node` and `ma_training.agent.many_nodes`."""

    def __init__(self, world: "World", host: str, node_rank: int | None, terms: Terms, leads: bool) -> None:
        super().__init__(world, host)
        self.node, self.node_rank, self._terms = world.new_name(host), node_rank, terms
        self.end: End | None = None
        hello = Hello(self.node, host, host, terms, node_rank, OWN_PORT)
        self.follower = Follower(hello, world.endpoint, PORT, JOIN_TIMEOUT, self.now)
        self._connection: Connection | None = None
        self.workers = world.workers_of(self)
        if leads and (host, PORT) not in world.network.listeners:
            self._lead(PORT)
        self._timer = Timer(world, lambda: self.follower.deadline, self._tick)
        self._timer.offset = self.offset
        self._timer.arm()

    def _lead(self, port: int, epoch: int = 1, successor: bool = False) -> SimulatedHub:
        leader = Leader(
            "job",
            self._terms,
            JOIN_TIMEOUT,
            self.now,
            self.world.new_name(self.host),
            epoch=epoch,
            successor=successor,
            node=self.node,
        )
        return self.open_hub(port, leader)

    def _tick(self, now: float) -> None:
        self.do(self.follower.tick(now))

    def do(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, Connect):
                target = (order.host, order.port)
                self.world.network.dial(self.host, target, self._on_open, self._on_failed)
            elif isinstance(order, Tell):
                if self._connection is not None:
                    self._connection.send(0, self.world.on_the_wire(order.message))
            elif isinstance(order, Disconnect):
                connection, self._connection = self._connection, None
                if connection is not None:
                    connection.close(0)
            elif isinstance(order, Lead):
                self._succeed(order)
            elif isinstance(order, Begin):
                self.workers.begin(order.slice)
            elif isinstance(order, Hold):
                port = self.world.hold_port(self, order.attempt)
                self.do(self.follower.port_held(order.attempt, port))
            elif isinstance(order, Halt):
                self.workers.halt(order.attempt)
            elif isinstance(order, End):
                self.end = order
                self.world.on_end(self, order)
        self._timer.arm()

    def _succeed(self, order: Lead) -> None:
        if (self.host, OWN_PORT) not in self.world.network.listeners:
            hub = self._lead(OWN_PORT, order.epoch, successor=True)
            self.world.clock.after(POINT_EVERY, lambda: self._point(hub))

    def _point(self, hub: SimulatedHub) -> None:
        if hub not in self.hubs or hub.leader.phase is Phase.ENDED:
            return
        if hub.leader.leads_elsewhere:
            message = Elsewhere(hub.leader.epoch, self.host, OWN_PORT)
            target = (self.world.endpoint, PORT)
            self.world.network.dial(self.host, target, Pointer(message), lambda _why: None)
        self.world.clock.after(POINT_EVERY, lambda: self._point(hub))

    def _on_open(self, connection: Connection) -> Peer:
        if not self.alive or self.follower.ended:
            self.world.clock.after(0, lambda: connection.close(0))
            return self
        self._connection = connection
        connection.peers[0] = self
        self.do(self.follower.connected(self.now))
        return self

    def _on_failed(self, why: str) -> None:
        if self.alive and not self.follower.ended:
            self.do(self.follower.not_connected(why, self.now))

    def on_message(self, connection: Connection, message: Message) -> None:
        if connection is self._connection and not self.follower.ended:
            self.do(self.follower.received(message, self.now))

    def on_closed(self, connection: Connection, why: str) -> None:
        if connection is self._connection:
            self._connection = None
            self.do(self.follower.disconnected(why, self.now))

    def die(self, silently: bool = False) -> None:
        """SIGKILL of the agent, whose shims end its workers; or, ``silently``, the machine's."""
        super().die(silently)
        self._timer.stopped = True
        self.follower.ended = True
        if self._connection is not None:
            self._connection.vanish(0) if silently else self._connection.close(0)
            self._connection = None
        self.workers.vanish()


class Pointer:
    """A connection that says one thing."""

    def __init__(self, message: Elsewhere) -> None:
        self._message = message

    def __call__(self, connection: Connection) -> "Pointer":
        connection.peers[0] = self
        connection.send(0, self._message)
        connection.close(0)
        return self

    def on_message(self, connection: Connection, message: Any) -> None:
        pass

    def on_closed(self, connection: Connection, why: str) -> None:
        pass


def again(message: Message) -> Message:
    """As it comes out on the other side."""
    return unpack(pack(message))
