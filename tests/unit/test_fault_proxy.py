"""A proxy that misbehaves on command: each fault as both ends of a real connection see it."""

import math
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from ma_training.testing import FaultProxy

from ..support import PATIENCE, wait_until

SILENCE = 0.2  # seconds without a byte that are taken for silence; only ever too short to find a mistake


@dataclass
class Net:
    """A server behind a proxy, and all ends that were made."""

    listener: socket.socket
    proxy: FaultProxy
    ends: list[socket.socket] = field(default_factory=list)

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """The client's and the server's end of a new connection."""
        client = self.client()
        server = self.listener.accept()[0]
        server.settimeout(PATIENCE)
        self.ends.append(server)
        return client, server

    def client(self) -> socket.socket:
        client = socket.create_connection(self.proxy.address, timeout=PATIENCE)
        self.ends.append(client)
        return client


@pytest.fixture
def net() -> Iterator[Net]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        with FaultProxy(*listener.getsockname()) as proxy:
            net = Net(listener, proxy)
            yield net
            for end in net.ends:
                end.close()


def receive(end: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or fewer at the end of the stream."""
    received = bytearray()
    while len(received) < size and (part := end.recv(size - len(received))):
        received += part
    return bytes(received)


def assert_silent(end: socket.socket) -> None:
    """Neither bytes nor an end nor a reset."""
    end.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        end.recv(1)
    end.settimeout(PATIENCE)


def assert_passes(one: socket.socket, other: socket.socket, text: bytes = b"well") -> None:
    one.sendall(text)
    assert receive(other, len(text)) == text


def assert_reset(end: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        end.recv(1)


def close_with_reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


class TestWithoutFaults:
    def test_both_directions_and_half_closed(self, net: Net) -> None:
        client, server = net.connect()
        assert_passes(client, server)
        assert_passes(server, client)
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        assert_passes(server, client)
        server.close()
        assert client.recv(1) == b""
        wait_until(lambda: net.proxy.connections == 0, "the end of the connection")

    @pytest.mark.parametrize("delay", [0, 0.01])
    def test_much_at_once(self, net: Net, delay: float) -> None:
        """More than all buffers hold, both ways at the same time."""
        net.proxy.delay(delay)
        ends = net.connect()
        data = [os.urandom(6 << 20) for _ in ends]
        senders = [threading.Thread(target=ends[i].sendall, args=(data[i],)) for i in (0, 1)]
        for sender in senders:
            sender.start()
        received: dict[int, bytes] = {}

        def read_client() -> None:
            received[0] = receive(ends[0], len(data[1]))

        reader = threading.Thread(target=read_client)
        reader.start()
        received[1] = receive(ends[1], len(data[0]))
        for thread in (*senders, reader):
            thread.join()
        assert received[0] == data[1] and received[1] == data[0]

    def test_connections_are_counted(self, net: Net) -> None:
        assert net.proxy.connections == 0
        first, _ = net.connect()
        net.connect()
        assert net.proxy.connections == 2
        close_with_reset(first)
        wait_until(lambda: net.proxy.connections == 1, "the end of the first")

    @pytest.mark.parametrize("who", ["client", "server"])
    def test_a_reset_is_passed_on(self, net: Net, who: str) -> None:
        client, server = net.connect()
        one, other = (client, server) if who == "client" else (server, client)
        close_with_reset(one)
        assert_reset(other)

    def test_the_target_does_not_listen(self, net: Net) -> None:
        net.listener.close()
        with pytest.raises(ConnectionResetError):  # possibly before it knows that it is connected
            net.client().recv(1)

    def test_an_unknown_host(self) -> None:
        with pytest.raises(OSError, match=r"."):
            FaultProxy("no such host", 1)


class TestDelay:
    def test_held_in_one_direction(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.delay(math.inf, "to_server")
        client.sendall(b"one")
        client.sendall(b"two")
        client.shutdown(socket.SHUT_WR)
        assert_silent(server)
        assert_passes(server, client)
        net.proxy.restore()
        assert receive(server, 100) == b"onetwo"

    def test_order_is_kept(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.delay(0.02, "to_client")
        for number in range(50):
            server.sendall(bytes([number]))
        server.close()
        assert receive(client, 100) == bytes(range(50))

    def test_what_was_sent_before_is_not_held(self, net: Net) -> None:
        client, server = net.connect()
        client.sendall(b"before")
        net.proxy.delay(3600)
        client.sendall(b"after")
        assert receive(server, 6) == b"before"
        assert_silent(server)

    def test_who_sends_too_much_must_wait(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.delay(math.inf)
        client.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(64 << 20))
        assert_silent(server)


class TestThrottle:
    def test_byte_by_byte(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.throttle(0.0001, "to_server")
        client.sendall(b"slow")
        assert receive(server, 1) == b"s"
        assert_silent(server)
        assert_passes(server, client)
        net.proxy.restore()
        assert receive(server, 3) == b"low"

    def test_all_arrives(self, net: Net) -> None:
        net.proxy.throttle(1e6)
        client, server = net.connect()
        data = os.urandom(100_000)
        client.sendall(data)
        client.close()
        assert receive(server, len(data) + 1) == data


class TestDrop:
    def test_both_directions(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.drop()
        client.sendall(b"lost")
        server.sendall(b"lost")
        assert_silent(client)
        assert_silent(server)
        assert net.proxy.connections == 1

    @pytest.mark.parametrize("direction", ["to_server", "to_client"])
    def test_one_direction(self, net: Net, direction: str) -> None:
        client, server = net.connect()
        one, other = (client, server) if direction == "to_server" else (server, client)
        net.proxy.drop(direction)  # type: ignore[arg-type]
        one.sendall(b"lost")
        assert_passes(other, one)
        assert_silent(other)

    @pytest.mark.parametrize("close", [socket.socket.close, close_with_reset])
    def test_half_open(self, net: Net, close: Callable[[socket.socket], None]) -> None:
        """The client goes; the server never learns of it, not even when it sends."""
        client, server = net.connect()
        net.proxy.drop("to_server")
        close(client)
        server.sendall(b"are you there")
        assert_silent(server)
        server.sendall(b"are you there")
        assert_silent(server)

    def test_no_stream_with_a_hole(self, net: Net) -> None:
        """After a loss the connection stays silent; others, old and new, go on."""
        client, server = net.connect()
        untouched = net.connect()
        net.proxy.drop("to_server")
        client.sendall(b"lost")
        net.proxy.restore()
        client.sendall(b"never asked for")
        assert_silent(server)
        assert_passes(server, client)
        assert_passes(*untouched)
        assert_passes(*net.connect())

    def test_all_can_be_sent(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.drop()
        client.sendall(bytes(16 << 20))
        assert_silent(server)

    def test_what_is_held_is_lost(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.delay(math.inf)
        client.sendall(b"held")
        net.proxy.drop()
        net.proxy.restore()
        assert_silent(server)


class TestTruncate:
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_both_see_the_end(self, net: Net, when: str) -> None:
        if when == "before":
            net.proxy.truncate(3, "to_server")
        client, server = net.connect()
        if when == "after":
            assert_passes(client, server)
            net.proxy.truncate(3, "to_server")
        assert_passes(server, client, b"not counted")
        client.sendall(b"12345")
        assert receive(server, 100) == b"123"
        assert client.recv(1) == b""
        wait_until(lambda: net.proxy.connections == 0, "the end of the connection")

    def test_at_once(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.truncate(0)
        assert client.recv(1) == server.recv(1) == b""

    def test_restored_in_time(self, net: Net) -> None:
        client, server = net.connect()
        net.proxy.truncate(4)
        assert_passes(client, server, b"123")
        net.proxy.restore()
        assert_passes(client, server, b"45678")


class TestCorrupt:
    def test_one_bit_once(self, net: Net) -> None:
        client, server = net.connect()
        assert_passes(client, server)
        net.proxy.corrupt(2, "to_server")
        client.sendall(bytes(4))
        assert receive(server, 4) == b"\0\0\1\0"
        assert_passes(client, server, bytes(4))
        assert_passes(server, client, bytes(4))

    def test_each_connection(self, net: Net) -> None:
        net.proxy.corrupt(0)
        for _ in range(2):
            client, server = net.connect()
            client.sendall(b"a")
            server.sendall(b"a")
            assert receive(server, 1) == receive(client, 1) == b"`"


def test_reset(net: Net) -> None:
    ends = [*net.connect(), *net.connect()]
    net.proxy.reset()
    for end in ends:
        assert_reset(end)
    assert net.proxy.connections == 0
    assert_passes(*net.connect())


def test_refuse(net: Net) -> None:
    present = net.connect()
    for _ in range(2):
        net.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(net.proxy.address)
        assert_passes(*present)
    net.proxy.restore()
    assert_passes(*present)
    assert_passes(*net.connect())


def test_faults_add_up(net: Net) -> None:
    client, server = net.connect()
    net.proxy.delay(0.01)
    net.proxy.throttle(1000)
    net.proxy.corrupt(0)
    net.proxy.truncate(2)
    client.sendall(b"aaaa")
    assert receive(server, 100) == b"`a"


def test_what_makes_no_sense(net: Net) -> None:
    for wrong in (
        lambda: net.proxy.delay(-1),
        lambda: net.proxy.delay(math.nan),
        lambda: net.proxy.throttle(0),
        lambda: net.proxy.truncate(-1),
        lambda: net.proxy.corrupt(-1),
        lambda: net.proxy.drop("up"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"no sense|direction"):
            wrong()
    assert_passes(*net.connect())


@pytest.mark.parametrize("fault", ["none", "held", "dropped", "refused"])
def test_close_leaves_nothing(fault: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
        with FaultProxy(*listener.getsockname()) as proxy:
            net = Net(listener, proxy)
            client, server = net.connect()
            if fault == "held":
                proxy.delay(math.inf)
            elif fault == "dropped":
                proxy.drop()
            elif fault == "refused":
                proxy.refuse()
            client.sendall(b"under way")
        proxy.close()
        if fault in ("dropped", "held"):
            assert server.recv(100) == b""
        for end in net.ends:
            end.close()
        assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
        assert proxy.connections == 0
        with pytest.raises(RuntimeError, match="closed"):
            proxy.drop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(proxy.address)
