"""``launcher check --level full`` on several nodes: node 0 asks all, compares, and tells all.

Each node, node 0's own among them:   facts ─▶      ◀─ clock, measure      time, rate ─▶      ◀─ verdict
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from launchers.platforms.placement import Placement
from ma_training.coordination.channel import Callbacks, Channel, connect, listen
from ma_training.coordination.frames import Refused
from ma_training.job import Cluster
from ma_training.precheck import Finding, Limits, Surroundings, Verdict
from ma_training.precheck.check import NETWORK
from ma_training.precheck.comparison import NodeFacts, compare, judge_network, judge_ring
from ma_training.precheck.finding import fail
from ma_training.precheck.pairs import Pair, Wave, first_round, second_round
from ma_training.precheck.transfer import TransferServer, measure

from .cluster import Key, cluster_of, key_of
from .errors import UsageError
from .settings import Settings

SIZE = 64 << 20  # bytes in each direction
TRANSFER_WITHIN = 30.0  # seconds
ANSWER_WITHIN = 10.0  # seconds more, for the way there and back
EXAMINED_WITHIN = 600.0  # seconds, from the last node's coming
CLOSED_WITHIN = 5.0  # seconds that the end waits for the last words to arrive
AGAIN = 0.5  # seconds between attempts to reach node 0


@dataclass(frozen=True, slots=True)
class Party:
    """Where the nodes meet, and who this one is."""

    cluster: Cluster
    key: bytes
    job: str
    rank: int
    count: int
    facts: dict[str, Any]
    limits: Limits = field(default_factory=Limits)
    size: int = SIZE
    through: Callable[[str, int], tuple[str, int]] | None = None  # in tests: what stands before this node


def with_others(
    settings: Settings, placement: Placement, where: Surroundings, findings: Sequence[Finding]
) -> list[Finding]:
    """What is found by comparing all nodes. Raises UsageError where it is not known who this one is."""
    cluster = cluster_of(settings, placement)
    if cluster is None or not placement.ranked:
        raise UsageError(
            "launcher check --level full: which node this is has not been said",
            "start it on each node with --nnodes N --node-rank I --master-addr HOST, as the job",
        )
    job = f"precheck of {placement.job_id or settings['name'] or cluster.endpoint}"
    key: Key = key_of(settings, job)
    rank = placement.topology.node_rank
    party = Party(cluster, key.value, job, rank, where.job.nnodes, facts_of(where), where.limits)
    return asyncio.run(meet(party))


def facts_of(where: Surroundings) -> dict[str, Any]:
    from ma_training.precheck.checks.mtu import mtu
    from ma_training.precheck.checks.network_settings import settings
    from ma_training.precheck.checks.python import versions
    from ma_training.precheck.speed import rates

    found = mtu(where)
    return {
        "name": where.job.node,
        "versions": versions(),
        "settings": settings(where),
        "mtu": found[1] if found else None,
        "rates": rates(where),
    }


async def meet(party: Party) -> list[Finding]:
    host = Host(party) if party.cluster.leads else None
    if host is not None:
        await host.open()
    member = asyncio.get_running_loop().create_task(Member(party).run())
    try:
        if host is not None:
            await asyncio.wait([member, host.task], return_when=asyncio.FIRST_EXCEPTION)
            if host.task.done():
                host.task.result()  # raises what has ended it
        return await asyncio.wait_for(member, party.cluster.join_timeout + EXAMINED_WITHIN)
    finally:
        member.cancel()
        if host is not None:
            await host.close()


class Member:
    """Answers what node 0 asks, until it says what it has found."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self._word = secrets.token_bytes(32)
        self._server = TransferServer(self._word)
        self._over: asyncio.Future[list[Finding]] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> list[Finding]:
        try:
            channel = await self._connect()
            if channel is None:
                return [self._missed("node 0 does not answer there")]
            found = await self._over
            channel.close("the check is over")
            await _within(self._closed.wait(), CLOSED_WITHIN)
            return found
        finally:
            self._server.close()

    async def _connect(self) -> Channel | None:
        cluster, until = self._party.cluster, time.monotonic() + self._party.cluster.join_timeout
        callbacks = Callbacks(self._on_open, self._on_message, self._on_closed)
        while time.monotonic() < until:
            try:
                return await connect(
                    cluster.host, cluster.port, self._party.key, self._party.job, callbacks, ANSWER_WITHIN
                )
            except Refused as error:
                raise UsageError(
                    f"node 0 at {cluster.endpoint} does not let this one in: {error.text}"
                ) from None
            except (OSError, TimeoutError, asyncio.TimeoutError):
                await asyncio.sleep(AGAIN)
        return None

    def _missed(self, why: str) -> Finding:
        fix = "start launcher check --level full on all nodes, within --join-timeout of each other"
        return _network("nodes", fail(f"{self._party.cluster.endpoint}: {why}", fix))

    def _on_open(self, channel: Channel) -> None:
        address, port = self._party.cluster.address, self._server.port
        if self._party.through is not None:
            address, port = self._party.through(address, port)
        place = {"rank": self._party.rank, "address": address, "port": port, "word": self._word.hex()}
        channel.send({"kind": "facts", **place, "facts": self._party.facts})

    def _on_message(self, channel: Channel, message: dict[str, Any]) -> None:
        if message["kind"] == "clock":
            channel.send({"kind": "time", "id": message["id"], "value": time.time()})
        elif message["kind"] == "measure":
            task = asyncio.get_running_loop().create_task(self._measure(channel, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif message["kind"] == "verdict" and not self._over.done():
            self._over.set_result([_finding(record) for record in message["findings"]])

    def _on_closed(self, channel: Channel, why: str) -> None:
        self._closed.set()
        if not self._over.done():
            self._over.set_result([self._missed(f"node 0 is gone: {why}")])

    async def _measure(self, channel: Channel, message: dict[str, Any]) -> None:
        address, word = (str(message["address"]), int(message["port"])), bytes.fromhex(message["word"])
        rate = await asyncio.to_thread(measure, address, word, int(message["size"]), TRANSFER_WITHIN)
        channel.send({"kind": "rate", "id": message["id"], "value": rate})


class Host:
    """Node 0's part."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self._hellos: dict[int, dict[str, Any]] = {}
        self._channels: dict[int, Channel] = {}
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._all_here, self._all_gone = asyncio.Event(), asyncio.Event()
        self._open: set[Channel] = set()
        self._asked = 0

    async def open(self) -> None:
        """Raises UsageError where the port is taken."""
        cluster = self._party.cluster
        callbacks = Callbacks(self._on_open, self._on_message, self._on_closed)
        try:
            self._listener = await listen(
                cluster.bind,
                cluster.port,
                self._party.key,
                self._party.job,
                callbacks,
                lambda peer, why: None,
            )
        except OSError as error:
            raise UsageError(
                f"cannot listen at {cluster.endpoint}: {error.strerror or error}",
                "give all nodes another --master-port",
            ) from None
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        self._listener.close()
        await asyncio.wait([self.task], timeout=ANSWER_WITHIN)
        self.task.cancel()
        if self._open:
            await _within(self._all_gone.wait(), CLOSED_WITHIN)
        for channel in list(self._open):
            channel.close("the check is over")

    def _on_message(self, channel: Channel, message: dict[str, Any]) -> None:
        if message["kind"] == "facts":
            rank = int(message["rank"])
            if rank in self._channels or not 0 <= rank < self._party.count:
                channel.close(f"node {rank} is here already, or is none of {self._party.count}")
                return
            self._hellos[rank], self._channels[rank] = message, channel
            if len(self._channels) == self._party.count:
                self._all_here.set()
        elif (waiting := self._waiting.pop(int(message["id"]), None)) is not None and not waiting.done():
            waiting.set_result(message["value"])

    def _on_open(self, channel: Channel) -> None:
        self._open.add(channel)
        self._all_gone.clear()

    def _on_closed(self, channel: Channel, why: str) -> None:
        """Whoever waits for its answer waits until the deadline: it has no rate then."""
        self._open.discard(channel)
        if not self._open:
            self._all_gone.set()

    async def _run(self) -> None:
        await _within(self._all_here.wait(), self._party.cluster.join_timeout)
        findings = await self._examine()
        records = [asdict(finding) for finding in findings]
        for channel in list(self._channels.values()):
            channel.send({"kind": "verdict", "findings": records})

    async def _examine(self) -> list[Finding]:
        ranks = sorted(self._channels)
        offsets = await asyncio.gather(*(self._offset(rank) for rank in ranks))
        nodes = [
            NodeFacts(rank, **self._hellos[rank]["facts"], offset=offset)
            for rank, offset in zip(ranks, offsets, strict=True)
        ]
        limits = self._party.limits
        findings = compare(nodes, limits)
        missing = [str(rank) for rank in range(self._party.count) if rank not in self._channels]
        if missing:
            what = f"node {', '.join(missing)} of {self._party.count} did not come"
            findings.append(_network("nodes", fail(what, "see whether launcher check was started there")))
        if len(ranks) > 1:
            rates = await self._two_rounds(ranks, limits.slower)
            findings.append(judge_network(nodes, rates, limits.slower))
            findings.append(judge_ring(nodes, await self._ring(ranks), limits.slower))
        return findings

    async def _offset(self, rank: int) -> float | None:
        began = time.time()
        value = await self._ask(rank, {"kind": "clock"}, ANSWER_WITHIN)
        return None if value is None else float(value) - (began + time.time()) / 2

    async def _two_rounds(self, ranks: Sequence[int], slower: float) -> dict[Pair, float | None]:
        rates: dict[Pair, float | None] = {}
        for wave in first_round(ranks):
            rates |= await self._wave(wave)
        for wave in second_round(ranks, rates, slower):
            rates |= await self._wave(wave)
        return rates

    async def _ring(self, ranks: Sequence[int]) -> dict[int, float | None]:
        following = [*ranks[1:], ranks[0]]
        rates = await self._wave(tuple(zip(ranks, following, strict=True)))
        return {first: rate for (first, _), rate in rates.items()}

    async def _wave(self, wave: Wave) -> dict[Pair, float | None]:
        """At once, all pairs of it."""
        return dict(zip(wave, await asyncio.gather(*(self._rate(*pair) for pair in wave)), strict=True))

    async def _rate(self, first: int, second: int) -> float | None:
        target = {name: self._hellos[second][name] for name in ("address", "port", "word")}
        order = {"kind": "measure", **target, "size": self._party.size}
        value = await self._ask(first, order, TRANSFER_WITHIN + ANSWER_WITHIN)
        return None if value is None else float(value)

    async def _ask(self, rank: int, order: dict[str, Any], within: float) -> Any:
        """The answer; None where none comes."""
        self._asked += 1
        number = self._asked
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._channels[rank].send({**order, "id": number})
        try:
            return await asyncio.wait_for(waiting, within)
        except (TimeoutError, asyncio.TimeoutError):
            return None
        finally:
            self._waiting.pop(number, None)


async def _within(event: Awaitable[object], seconds: float) -> None:
    try:
        await asyncio.wait_for(event, seconds)
    except (TimeoutError, asyncio.TimeoutError):  # two names until Python 3.11
        pass


def _network(check: str, finding: Finding) -> Finding:
    from dataclasses import replace

    return replace(finding, check=check, group=NETWORK)


def _finding(record: dict[str, Any]) -> Finding:
    changed = {
        "verdict": Verdict(record["verdict"]),
        "codes": tuple(record["codes"]),
        "service": (int(record["service"][0]), str(record["service"][1])),
    }
    return Finding(**{**record, **changed})
