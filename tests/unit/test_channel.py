"""Channels over real sockets on this machine's loopback."""

import asyncio
import gc
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ma_training.coordination import channel as channel_module
from ma_training.coordination.channel import MAX_UNSENT, Callbacks, Channel, Listener, connect, listen
from ma_training.coordination.frames import (
    MAGIC,
    MAX_FRAME,
    PROOF,
    VERSION,
    ClientHandshake,
    RefusalCode,
    Refused,
    Secret,
    Session,
)

KEY = b"k" * 32
JOB = "job"
HOST = "127.0.0.1"
STALLED = ("nothing", "magic", "greeting")
LONG = 60.0  # seconds; no test waits for it


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = [HOST, "localhost", *["::1"] * has_ipv6()]


class Side:
    """What one side's callbacks were called with."""

    def __init__(self) -> None:
        self.opened: asyncio.Queue[Channel] = asyncio.Queue()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed: asyncio.Queue[tuple[Channel, str]] = asyncio.Queue()
        self.refused: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.callbacks = Callbacks(
            on_open=self.opened.put_nowait,
            on_message=self.on_message,
            on_closed=lambda channel, reason: self.closed.put_nowait((channel, reason)),
        )

    def on_message(self, channel: Channel, message: dict[str, Any]) -> None:
        self.messages.put_nowait(message)

    def on_refused(self, peer: str, text: str) -> None:
        self.refused.put_nowait((peer, text))

    async def reason(self) -> str:
        return (await self.closed.get())[1]

    async def refusal(self) -> str:
        return (await self.refused.get())[1]


@dataclass
class Stranger:
    """Has come through its handshake as an agent, and may then send anything."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    session: Session
    channel: Channel  # the leader's, to it

    def seal(self, count: int) -> list[bytes]:
        return [self.session.sealer.seal({"n": number}) for number in range(count)]


class Scene:
    """A leader that listens, and its callbacks and those of the agents."""

    def __init__(self) -> None:
        self.leader, self.agent = Side(), Side()
        self.listener: Listener
        self.reports: list[dict[str, Any]] = []  # what the event loop has to complain of

    async def listen(self, host: str = HOST, within: float = LONG) -> None:
        self.listener = await listen(
            host, 0, KEY, JOB, self.leader.callbacks, self.leader.on_refused, handshake_within=within
        )

    async def connect(self, key: bytes = KEY, job: str = JOB, host: str = HOST) -> Channel:
        return await connect(host, self.listener.port, key, job, self.agent.callbacks, LONG)

    async def pair(self) -> tuple[Channel, Channel]:
        """The agent's channel and the leader's."""
        channel = await self.connect()
        assert await self.agent.opened.get() is channel
        return channel, await self.leader.opened.get()

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self.listener.port)

    async def stranger(self) -> Stranger:
        reader, writer = await self.raw()
        handshake = ClientHandshake(Secret(KEY, JOB))
        writer.write(handshake.greeting())
        writer.write(handshake.feed(await reader.readexactly(49)))
        assert handshake.session is not None
        return Stranger(reader, writer, handshake.session, await self.leader.opened.get())


async def ended(reader: asyncio.StreamReader) -> None:
    """Waits for the end, which is a reset where something was not read."""
    try:
        await reader.read()
    except ConnectionError:
        pass


async def let_go(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def play(scenario: Callable[[Scene], Awaitable[None]], host: str = HOST, within: float = LONG) -> None:
    """Runs it; afterwards nothing may be left open, and nothing happened that it has not asked for."""
    scene = Scene()

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: scene.reports.append(context))
        await scene.listen(host, within)
        try:
            await scenario(scene)
        finally:
            scene.listener.close()
        for side in (scene.leader, scene.agent):
            assert side.closed.empty() and side.refused.empty()

    before = descriptors()
    asyncio.run(run())
    gc.collect()  # what is unclosed complains now
    assert descriptors() <= before
    assert scene.reports == []


async def finish(scene: Scene, channel: Channel) -> None:
    """Closes the agent's channel."""
    channel.close("done")
    assert await scene.agent.reason() == "done"
    assert await scene.leader.reason() == "the other side closed"


# Talking


@pytest.mark.parametrize("host", HOSTS)
def test_messages_go_both_ways_in_order(host: str) -> None:
    async def scenario(scene: Scene) -> None:
        channel = await scene.connect(host=host)
        theirs = await scene.leader.opened.get()
        for number in range(3):
            channel.send({"n": number})
            theirs.send({"n": -number, "text": "é"})
        assert [await scene.leader.messages.get() for _ in range(3)] == [{"n": number} for number in range(3)]
        assert [(await scene.agent.messages.get())["n"] for _ in range(3)] == [0, -1, -2]
        assert channel.peer in (f"{HOST}:{scene.listener.port}", f"[::1]:{scene.listener.port}")
        assert theirs.peer.startswith("[::1]:" if channel.peer.startswith("[") else f"{HOST}:")
        await finish(scene, channel)

    play(scenario, host)


def test_all_addresses_share_a_port() -> None:
    async def scenario(scene: Scene) -> None:
        for host in HOSTS:
            await finish(scene, await scene.connect(host=host))

    play(scenario, host="")


def test_a_large_message_arrives_whole() -> None:
    async def scenario(scene: Scene) -> None:
        channel, theirs = await scene.pair()
        message = {"a": "x" * (MAX_FRAME - 8)}
        for _ in range(3):
            theirs.send(message)
        for _ in range(3):
            assert await scene.agent.messages.get() == message
        with pytest.raises(ValueError, match="262144 are the most"):
            channel.send({"a": "x" * MAX_FRAME})
        with pytest.raises(TypeError):
            channel.send({"a": object()})
        channel.send({})  # nothing has happened
        assert await scene.leader.messages.get() == {}
        await finish(scene, channel)

    play(scenario)


def test_small_messages_do_not_wait() -> None:
    async def scenario(scene: Scene) -> None:
        channel, theirs = await scene.pair()
        for each in (channel, theirs):
            end = each._transport.get_extra_info("socket")
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await finish(scene, channel)

    play(scenario)


def test_three_hundred_agents_at_once() -> None:
    async def agent(scene: Scene, number: int) -> None:
        side = Side()
        channel = await connect(HOST, scene.listener.port, KEY, JOB, side.callbacks, LONG)
        channel.send({"agent": number})
        assert await side.messages.get() == {"agent": number}
        channel.close()
        assert await side.reason() == "closed on this side"

    async def scenario(scene: Scene) -> None:
        echo = replace(scene.leader.callbacks, on_message=Channel.send)
        scene.listener.close()
        scene.listener = await listen(HOST, 0, KEY, JOB, echo, scene.leader.on_refused)
        await asyncio.gather(*(agent(scene, number) for number in range(300)))
        ended = {await scene.leader.closed.get() for _ in range(300)}
        assert {channel for channel, _ in ended} == {await scene.leader.opened.get() for _ in range(300)}
        assert {reason for _, reason in ended} == {"the other side closed"}

    play(scenario)


# Refusals


def test_another_key_in_both_sides_words() -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(Refused) as caught:
            await scene.connect(key=b"x" * 32)
        assert caught.value.code == RefusalCode.WRONG_TOKEN
        assert str(caught.value) == "the leader and the agent have different tokens"
        assert await scene.leader.refusal() == "the leader and the agent have different tokens"

    play(scenario)


def test_a_proof_with_another_key() -> None:
    async def scenario(scene: Scene) -> None:
        reader, writer = await scene.raw()
        writer.write(ClientHandshake(Secret(KEY, JOB)).greeting())
        await reader.readexactly(49)
        writer.write(PROOF + b"x" * 32)
        assert b"different tokens" in await reader.read()
        assert await scene.leader.refusal() == "the leader and the agent have different tokens"
        await let_go(writer)

    play(scenario)


def test_another_job() -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(Refused, match="belong to different jobs") as caught:
            await scene.connect(job="other")
        assert caught.value.code == RefusalCode.OTHER_JOB
        assert await scene.leader.refusal() == "the leader and the agent belong to different jobs"

    play(scenario)


@pytest.mark.parametrize(
    ("greeting", "text"),
    [
        (MAGIC + bytes((VERSION + 1,)), "the leader speaks version 1 of the protocol, the agent version 2"),
        (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", "what connects is no agent"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "what connects is no agent"),
    ],
)
def test_strangers_are_told_and_closed(greeting: bytes, text: str) -> None:
    async def scenario(scene: Scene) -> None:
        reader, writer = await scene.raw()
        writer.write(greeting)
        assert (await reader.read()).endswith(text.encode())
        own = writer.get_extra_info("sockname")
        assert await scene.leader.refused.get() == (f"{HOST}:{own[1]}", text)
        await let_go(writer)

    play(scenario)


@pytest.mark.parametrize("said", [b"", MAGIC, ClientHandshake(Secret(KEY, JOB)).greeting()], ids=STALLED)
def test_a_handshake_that_stalls(said: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        reader, writer = await scene.raw()
        writer.write(said)
        await ended(reader)
        assert await scene.leader.refusal() == "the other side has not finished its handshake in time"
        await let_go(writer)

    play(scenario, within=0.05)


@pytest.mark.parametrize("said", [b"", MAGIC, ClientHandshake(Secret(KEY, JOB)).greeting()], ids=STALLED)
def test_a_handshake_that_is_left(said: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        _, writer = await scene.raw()
        writer.write(said)
        writer.write_eof()
        assert await scene.leader.refusal() == "the other side closed during the handshake"
        await let_go(writer)

    play(scenario)


def test_a_reflected_handshake() -> None:
    async def reflect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(41))
        await reader.read()
        await let_go(writer)

    async def scenario(scene: Scene) -> None:
        with pytest.raises(Refused, match="what answers is no leader"):
            await meet(reflect)

    play(scenario)


# A leader that is none


async def meet(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], timeout: float = LONG
) -> Channel:
    """Connects to a server that answers like that."""
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())  # type: ignore[arg-type]
        await answer(reader, writer)

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        port = server.sockets[0].getsockname()[1]
        return await connect(HOST, port, KEY, JOB, Side().callbacks, timeout)
    finally:
        server.close()
        await asyncio.gather(*serving)


def test_a_server_that_closes() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(41)
        await let_go(writer)

    async def scenario(scene: Scene) -> None:
        with pytest.raises(ConnectionError, match="the other side closed during the handshake"):
            await meet(close)

    play(scenario)


def test_a_server_that_says_nothing() -> None:
    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await let_go(writer)

    async def scenario(scene: Scene) -> None:
        with pytest.raises(TimeoutError, match="in time"):
            await meet(listen_only, timeout=0.1)

    play(scenario)


def test_connecting_can_be_cancelled() -> None:
    async def scenario(scene: Scene) -> None:
        async def interrupt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(41)
            attempt.cancel()
            assert await reader.read() == b""
            await let_go(writer)

        attempt = asyncio.ensure_future(meet(interrupt))
        with pytest.raises(asyncio.CancelledError):
            await attempt

    play(scenario)


def test_nobody_listens() -> None:
    async def scenario(scene: Scene) -> None:
        with socket.socket() as held:
            held.bind((HOST, 0))
            port = held.getsockname()[1]
            with pytest.raises(ConnectionRefusedError, match=f"connection refused \\({HOST}:{port}\\)"):
                await connect(HOST, port, KEY, JOB, Side().callbacks, LONG)

    play(scenario)


def test_a_name_that_nobody_has() -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(socket.gaierror):
            await connect("no..host", 1, KEY, JOB, Side().callbacks, LONG)
        with pytest.raises(socket.gaierror):
            await listen("no..host", 0, KEY, JOB, Side().callbacks, Side().on_refused)

    play(scenario)


def test_a_port_that_is_taken() -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(OSError, match="in use"):
            await listen(HOST, scene.listener.port, KEY, JOB, Side().callbacks, Side().on_refused)

    play(scenario)


# Damage


def altered(frame: bytes) -> bytes:
    return frame[:6] + bytes((frame[6] ^ 1,)) + frame[7:]


DAMAGED = "frame damaged: altered, repeated or out of order"
MOST = ", 262144 are the most"


@pytest.mark.parametrize(
    ("damage", "arriving", "reason"),
    [
        (lambda one, two: one + one, 1, DAMAGED),  # replayed
        (lambda one, two: two + one, 0, DAMAGED),  # reordered
        (lambda one, two: one + altered(two), 1, DAMAGED),
        (lambda one, two: one[:-1] + two, 0, DAMAGED),  # truncated
        (lambda one, two: one + b"\xff" * 4, 1, "frame damaged: 4294967295 bytes announced" + MOST),
        (lambda one, two: one + b"\0\4\0\1", 1, "frame damaged: 262145 bytes announced" + MOST),
    ],
)
def test_damage_closes(damage: Callable[[bytes, bytes], bytes], arriving: int, reason: str) -> None:
    async def scenario(scene: Scene) -> None:
        stranger = await scene.stranger()
        stranger.writer.write(damage(*stranger.seal(2)))
        assert await scene.leader.reason() == reason
        assert scene.leader.messages.qsize() == arriving
        assert await stranger.reader.read() == b""
        await let_go(stranger.writer)

    play(scenario)


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "not JSON"), ("[1]", "not a JSON object"), ("1", "not a JSON object")]
)
def test_only_json_objects(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        stranger = await scene.stranger()
        monkeypatch.setattr("ma_training.coordination.frames._encode", lambda _: text)
        stranger.writer.write(stranger.seal(1)[0])
        assert await scene.leader.reason() == f"frame damaged: {reason}"
        await let_go(stranger.writer)

    play(scenario)


# Ends


@pytest.mark.parametrize(
    ("sent", "reason"), [(0, "the other side closed"), (9, "the other side closed in the middle of a frame")]
)
def test_a_client_that_closes(sent: int, reason: str) -> None:
    async def scenario(scene: Scene) -> None:
        stranger = await scene.stranger()
        stranger.writer.write(stranger.seal(1)[0][:sent])
        stranger.writer.write_eof()
        assert await scene.leader.reason() == reason
        await let_go(stranger.writer)

    play(scenario)


def test_a_reset_is_told() -> None:
    async def scenario(scene: Scene) -> None:
        stranger = await scene.stranger()
        end = stranger.writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stranger.writer.transport.abort()
        assert await scene.leader.reason() == "connection reset by peer"
        await let_go(stranger.writer)

    play(scenario)


def test_the_last_words_arrive_though_the_other_side_talks() -> None:
    async def scenario(scene: Scene) -> None:
        channel, theirs = await scene.pair()
        last = {"last": "x" * 200_000}
        for _ in range(4):
            theirs.send(last)
        theirs.close("all is said")
        theirs.send({"after": "the end"})
        for _ in range(4):
            channel.send({"unheard": "x" * 200_000})
        assert [await scene.agent.messages.get() for _ in range(4)] == [last] * 4
        assert await scene.agent.reason() == "the other side closed"
        assert await scene.leader.reason() == "all is said"
        assert scene.agent.messages.empty()
        assert scene.leader.messages.empty()
        channel.send({})  # nothing, and no complaint
        channel.close("again")

    play(scenario)


def test_closing_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "CLOSING_WITHIN", 0.05)

    async def scenario(scene: Scene) -> None:
        stranger = await scene.stranger()
        stranger.channel.close("tired")
        assert await scene.leader.reason() == "tired"
        await let_go(stranger.writer)

    play(scenario)


def test_a_slow_reader_does_not_fill_the_memory() -> None:
    async def scenario(scene: Scene) -> None:
        stranger = await scene.stranger()
        stranger.writer.transport.pause_reading()  # type: ignore[attr-defined]
        unsent = []
        for _ in range(200):  # more than the kernel keeps
            stranger.channel.send({"a": "x" * (MAX_FRAME - 8)})
            unsent.append(stranger.channel._transport.get_write_buffer_size())
        assert await scene.leader.reason() == (
            "the other side reads too slowly: more than 1048576 bytes wait for it"
        )
        assert 0 < max(unsent) <= MAX_UNSENT
        await let_go(stranger.writer)

    play(scenario)


def test_a_callback_that_fails_closes_its_channel() -> None:
    async def scenario(scene: Scene) -> None:
        def on_message(channel: Channel, message: dict[str, Any]) -> None:
            raise KeyError("node")

        scene.agent.callbacks = replace(scene.agent.callbacks, on_message=on_message)
        _, theirs = await scene.pair()
        theirs.send({})
        assert await scene.agent.reason() == "KeyError: 'node'"
        assert await scene.leader.reason() == "the other side closed"
        assert isinstance(scene.reports.pop()["exception"], KeyError)

    play(scenario)


def test_a_listener_that_closes_lets_nobody_in() -> None:
    async def scenario(scene: Scene) -> None:
        channel, _ = await scene.pair()
        reader, writer = await scene.raw()
        writer.write(ClientHandshake(Secret(KEY, JOB)).greeting())
        await reader.readexactly(49)
        scene.listener.close()
        assert await reader.read() == b""
        await let_go(writer)
        channel.send({})  # who is in stays in
        assert await scene.leader.messages.get() == {}
        await finish(scene, channel)
        with pytest.raises(ConnectionRefusedError):
            await scene.connect()

    play(scenario)


def test_a_channel_that_is_closed_before_it_is_connected() -> None:
    async def scenario(scene: Scene) -> None:
        made = asyncio.Event()
        make = scene.listener._make_channel

        def make_and_close() -> Channel:
            channel = make()
            scene.listener.close()
            made.set()
            return channel

        server = await asyncio.get_running_loop().create_server(make_and_close, HOST, 0)
        reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
        await made.wait()
        assert await reader.read() == b""
        await let_go(writer)
        server.close()

    play(scenario)


def test_a_callback_may_close() -> None:
    async def scenario(scene: Scene) -> None:
        got = []

        def on_message(channel: Channel, message: dict[str, Any]) -> None:
            got.append(message)
            channel.close("enough")

        scene.agent.callbacks = replace(scene.agent.callbacks, on_message=on_message)
        _, theirs = await scene.pair()
        for number in range(3):
            theirs.send({"n": number})
        assert await scene.agent.reason() == "enough"
        assert await scene.leader.reason() == "the other side closed"
        assert got == [{"n": 0}]

    play(scenario)
