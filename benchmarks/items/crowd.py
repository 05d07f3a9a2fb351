"""Very many agents and one leader, each side with the real machine, framing and HMAC, over loopback.

The leader has a process of its own, as `launcher coordinator` does; what is measured is that process.
The agents are real followers, some thousands in each of a few processes; their workers are not.
"""

import asyncio
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from ma_training.coordination.channel import Callbacks, Channel, connect
from ma_training.coordination.follower import Begin, Follower, Halt, Hold, Tell
from ma_training.coordination.hub import Hub
from ma_training.coordination.leader import Leader
from ma_training.coordination.messages import Done, Hello, Terms, pack, unpack
from ma_training.diagnosis import WorkerFailure

Row = tuple[str, str, str, str, str]  # what, ours, torchrun, target, reached
KEY, JOB = b"benchmark-key-of-32-bytes-length", "crowd"
AGREE_CPU, EACH = 1.0, 16.0  # seconds of the coordinator's CPU, KiB an agent
AT_ONCE = 200  # connections that a process opens at the same time


def run(agents: int, root: Path) -> list[Row]:
    out = root / "leader.txt"
    leader = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.items.crowd", "lead", str(agents), str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert leader.stdout is not None
    port = leader.stdout.readline().strip()
    halves = [range(0, agents // 2), range(agents // 2, agents)]
    crowds = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.items.crowd", "follow"]
            + [str(agents), port, str(half.start), str(half.stop)]
        )
        for half in halves
    ]
    for each in (*crowds, leader):
        if each.wait(600):
            raise SystemExit(f"benchmark: {each.args} ended with {each.returncode}")
    facts = dict(line.split() for line in out.read_text().splitlines())
    number = {name: float(value) for name, value in facts.items()}
    agree = max(number["agree_cpu"], number["again_cpu"])
    rows: list[Row] = [
        (f"a {agents} agents join: coordinator CPU", f"{number['join_cpu']:.2f} s", "", "", ""),
        ("a they agree on an attempt: coordinator CPU", f"{number['agree_cpu']:.2f} s", "", "", ""),
        ("a they agree on the one after it: coordinator CPU", f"{number['again_cpu']:.2f} s", "", "", ""),
        ("a one fails, all stop, report, and agree: CPU", f"{number['next_cpu']:.2f} s", "", "", ""),
        (
            "a the dearer of the two agreements",
            f"**{agree:.2f} s**",
            "",
            f"<= {AGREE_CPU:g} s",
            "reached" if agree <= AGREE_CPU else "missed",
        ),
        (
            "a memory an agent (coordinator's RSS)",
            f"**{number['kib_each']:.1f} KiB**",
            "",
            f"<= {EACH:g} KiB",
            "reached" if number["kib_each"] <= EACH else "missed",
        ),
        ("a failure reported -> all have the next attempt, wall", f"{number['next_wall']:.2f} s", "", "", ""),
    ]
    return rows


def rss_kib() -> float:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def lead(agents: int, out: Path) -> None:
    """Measures itself between the moments that its own messages mark."""
    loop = asyncio.get_running_loop()
    terms = Terms(agents, agents, 0, 8, 3)
    leader = Leader("crowd", terms, 600, loop.time(), "crowd")
    hub = Hub(leader, KEY, JOB, lambda text: print(text[:100], file=sys.stderr))
    before = rss_kib()
    port = await hub.open("127.0.0.1", 0)
    print(port, flush=True)
    facts: dict[str, float] = {}
    marks: dict[str, tuple[float, float]] = {"start": (time.process_time(), loop.time())}
    original = hub._do

    def watch(outputs: object) -> None:
        outputs = list(outputs)  # type: ignore[call-overload]
        kinds = {type(getattr(each, "message", each)).__name__ for each in outputs}
        for kind, name in (("HoldPort", "hold"), ("Stop", "stop"), ("End", "end")):
            if kind in kinds and f"{name}{leader.plan.attempt if leader.plan else 0}" not in marks:
                marks[f"{name}{leader.plan.attempt if leader.plan else 0}"] = (
                    time.process_time(),
                    loop.time(),
                )
                if name == "hold" and "kib_each" not in facts:
                    facts["kib_each"] = (rss_kib() - before) / agents
        original(outputs)  # type: ignore[arg-type]
        if "Start" in kinds and leader.plan:
            marks[f"started{leader.plan.attempt}"] = (time.process_time(), loop.time())

    hub._do = watch  # type: ignore[method-assign]
    await hub.ended.wait()
    await hub.close()
    facts["join_cpu"] = marks["hold0"][0] - marks["start"][0]
    facts["agree_cpu"] = marks["started0"][0] - marks["hold0"][0]
    facts["again_cpu"] = marks["started1"][0] - marks["hold1"][0]
    facts["next_cpu"] = marks["started1"][0] - marks["stop0"][0]
    facts["next_wall"] = marks["started1"][1] - marks["stop0"][1]
    out.write_text("".join(f"{name} {value}\n" for name, value in facts.items()))


class Agent:
    """A follower whose workers end the moment they are told to; rank 0's fails once."""

    def __init__(self, number: int, terms: Terms, port: int) -> None:
        self.number, self._port = number, port
        loop = asyncio.get_running_loop()
        hello = Hello(f"{number:032x}", f"host{number}", "127.0.0.1", terms, number)
        self._follower = Follower(hello, "127.0.0.1", port, 600, loop.time())
        self._channel: Channel | None = None
        self.over = asyncio.Event()

    async def join(self) -> None:
        callbacks = Callbacks(self._on_open, self._on_message, self._on_closed)
        await connect("127.0.0.1", self._port, KEY, JOB, callbacks, 60)

    def _on_open(self, channel: Channel) -> None:
        self._channel = channel
        self._do(self._follower.connected(asyncio.get_running_loop().time()))

    def _on_message(self, _: Channel, record: dict[str, object]) -> None:
        self._do(self._follower.received(unpack(record), asyncio.get_running_loop().time()))

    def _on_closed(self, _: Channel, why: str) -> None:
        self.over.set()

    def ping(self) -> None:
        self._do(self._follower.tick(asyncio.get_running_loop().time()))

    def _do(self, orders: list[object]) -> None:  # type: ignore[type-arg, unused-ignore]
        for order in orders:
            if isinstance(order, Tell) and self._channel:
                self._channel.send(pack(order.message))
            elif isinstance(order, Hold):
                self._do(list(self._follower.port_held(order.attempt, 23456)))
            elif isinstance(order, Begin) and order.slice.attempt == 0 and self.number == 7:
                asyncio.get_running_loop().call_later(3.0, self._fail)
            elif isinstance(order, Begin) and order.slice.attempt == 1:
                asyncio.get_running_loop().call_later(3.0, self._done, 1)
            elif isinstance(order, Halt):
                self._done(order.attempt)

    def _fail(self) -> None:
        failure = WorkerFailure(56, 1, 1.0, error={"type": "ValueError", "message": "bad luck"})
        self._do(list(self._follower.worker_failed(failure.to_record(), False)))

    def _done(self, attempt: int) -> None:
        self._do(list(self._follower.done(Done(attempt, ()))))


async def follow(agents: int, port: int, numbers: range) -> None:
    terms = Terms(agents, agents, 0, 8, 3)
    crowd = [Agent(number, terms, port) for number in numbers]
    for first in range(0, len(crowd), AT_ONCE):
        await asyncio.gather(*(agent.join() for agent in crowd[first : first + AT_ONCE]))
        for agent in crowd[:first]:
            agent.ping()
    while not all(agent.over.is_set() for agent in crowd):
        for agent in crowd:
            agent.ping()
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if sys.argv[1] == "lead":
        asyncio.run(lead(int(sys.argv[2]), Path(sys.argv[3])))
    else:
        asyncio.run(follow(int(sys.argv[2]), int(sys.argv[3]), range(int(sys.argv[4]), int(sys.argv[5]))))
