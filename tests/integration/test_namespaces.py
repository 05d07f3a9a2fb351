"""Nodes out of network namespaces: they talk, they are cut off in silence, and they leave nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pytest

from ma_training.testing import Cluster, NamespacesUnavailable, Node, available, namespaces
from ma_training.testing.iproute import namespaces as existing
from ma_training.testing.iproute import run

from ..support import PATIENCE, is_alive


def possible() -> bool:
    """Asked without the code under test, which would otherwise skip its own tests when it is broken."""
    unshare = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x40000000))"
    namespace = subprocess.run([sys.executable, "-c", unshare], check=False)
    return os.geteuid() == 0 and shutil.which("ip") is not None and namespace.returncode == 0


needs_namespaces = pytest.mark.skipif(not possible(), reason="needs root and network namespaces")

# Says "ready", then does what it reads line by line, and answers each line.
MOUTH = f"""
import errno, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.bind((sys.argv[1], 7000))
datagrams.settimeout({PATIENCE})
listener = socket.create_server((sys.argv[1], 7001), family=family)
print("ready", flush=True)
for line in sys.stdin:
    what, *words = line.split()
    try:
        if what == "send":
            datagrams.sendto(words[1].encode(), (words[0], 7000))
            print("sent", flush=True)
        elif what == "receive":
            print(datagrams.recv(100).decode(), flush=True)
        elif what == "connect":
            stream = socket.create_connection((words[0], 7001), timeout=float(words[1]))
            print("connected", flush=True)
        elif what == "accept":
            stream = listener.accept()[0]
            stream.settimeout({PATIENCE})
            print("accepted", flush=True)
        elif what == "write":
            stream.sendall(words[0].encode())
            print("written", flush=True)
        elif what == "read":
            stream.settimeout(float(words[0]))
            print(stream.recv(100).decode(), flush=True)
    except OSError as error:
        print(type(error).__name__, error.errno, flush=True)
"""


class Mouth:
    """A process on a node that sends and receives as it is told."""

    def __init__(self, node: Node, address: str = "") -> None:
        self.address = address or node.address
        self.process = node.popen(
            [sys.executable, "-c", MOUTH, self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def does(self, *words: str) -> str:
        """What came of it; the name and number of an error, where it is one."""
        stdin: Any = self.process.stdin
        stdin.write(" ".join(words) + "\n")
        stdin.flush()
        return self._answer()

    def reaches(self, other: "Mouth", text: str) -> None:
        """Sends a datagram, and sees that it is what the other receives next."""
        assert self.does("send", other.address, text) == "sent"
        assert other.does("receive") == text

    def sends_in_vain(self, other: "Mouth") -> None:
        """To be followed by a datagram that arrives: it shows that this one did not."""
        assert self.does("send", other.address, "lost") == "sent"

    def close(self) -> None:
        with self.process:
            self.process.kill()

    def _answer(self) -> str:
        stdout: Any = self.process.stdout
        return stdout.readline().strip()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def mouths(cluster: Cluster) -> Iterator[list[Mouth]]:
    mouths = [Mouth(node) for node in cluster]
    yield mouths
    for mouth in mouths:
        mouth.close()


def pairs(mouths: list[Mouth]) -> list[tuple[Mouth, Mouth]]:
    return [(one, other) for one in mouths for other in mouths if one is not other]


@needs_namespaces
def test_available() -> None:
    assert available() == ""


@needs_namespaces
def test_all_nodes_talk(mouths: list[Mouth]) -> None:
    for one, other in pairs(mouths):
        one.reaches(other, "hello")
        assert one.does("connect", other.address, "30") == "connected"


@needs_namespaces
def test_ipv6() -> None:
    with Cluster(2, subnet="10.99.0.0/30", ipv6=True) as cluster:
        assert [node.address for node in cluster] == ["10.99.0.1", "10.99.0.2"]
        one, other = (Mouth(node, node.address6) for node in cluster)
        one.reaches(other, "hello")
        cluster[0].cut("out")
        one.sends_in_vain(other)
        other.reaches(one, "heard")
        cluster[0].restore()
        one.reaches(other, "again")
        one.close()
        other.close()


@needs_namespaces
def test_clusters_do_not_meet(cluster: Cluster) -> None:
    """Two of them may have the same addresses, and the host is not to be reached."""
    with Cluster(3) as second:
        one, other = Mouth(cluster[0]), Mouth(second[1])
        assert one.does("connect", other.address, "30") == "ConnectionRefusedError 111"
        assert "port0" not in run(["ip", "-brief", "link"])
        one.close()
        other.close()


@needs_namespaces
def test_cut_both_ways(cluster: Cluster, mouths: list[Mouth]) -> None:
    cut, other, third = mouths
    assert other.does("connect", cut.address, "30") == "connected"
    assert cut.does("accept") == "accepted"
    cluster[0].cut()
    cut.sends_in_vain(other)
    other.sends_in_vain(cut)
    third.reaches(other, "others-go-on")
    # A connection that was there: bytes can be sent, and neither end is told anything.
    assert cut.does("write", "held") == other.does("write", "held") == "written"
    assert cut.does("read", "0.3") == other.does("read", "0.3") == "TimeoutError None"
    # A new one: no answer at all, where a broken link would say EHOSTUNREACH.
    assert third.does("connect", cut.address, "0.3") == "TimeoutError None"
    assert cut.does("connect", third.address, "0.3") == "TimeoutError None"
    cluster[0].restore()
    cut.reaches(other, "again")
    other.reaches(cut, "again")


@needs_namespaces
def test_connections_survive_a_cut(cluster: Cluster, mouths: list[Mouth]) -> None:
    one, other, _ = mouths
    assert other.does("connect", one.address, "30") == "connected"
    assert one.does("accept") == "accepted"
    cluster[0].cut()
    assert one.does("write", "late") == "written"
    cluster[0].restore()
    assert other.does("read", "30") == "late"


@needs_namespaces
@pytest.mark.parametrize("direction", ["in", "out"])
def test_cut_one_way(cluster: Cluster, mouths: list[Mouth], direction: str) -> None:
    cut, *others = mouths
    cluster[0].cut(direction)  # type: ignore[arg-type]
    for other in others:
        sender, receiver = (other, cut) if direction == "in" else (cut, other)
        sender.sends_in_vain(receiver)
        receiver.reaches(sender, "heard")
        assert sender.does("connect", receiver.address, "0.3") == "TimeoutError None"
        assert receiver.does("connect", sender.address, "0.3") == "TimeoutError None"
    cluster[0].restore()
    for one, other in pairs(mouths):
        one.reaches(other, "again")


@needs_namespaces
def test_blackhole(cluster: Cluster, mouths: list[Mouth]) -> None:
    one, other, third = mouths
    cluster[0].blackhole(cluster[1])
    one.sends_in_vain(other)
    other.sends_in_vain(one)
    for near in (one, other):
        third.reaches(near, "from-the-third")
        near.reaches(third, "to-the-third")
    cluster[1].restore()  # not its own fault
    one.sends_in_vain(other)
    cluster[0].restore()
    one.reaches(other, "again")
    other.reaches(one, "again")


@needs_namespaces
def test_faults_add_up(cluster: Cluster, mouths: list[Mouth]) -> None:
    """What two nodes' faults drop is dropped until both are restored."""
    one, other, _ = mouths
    cluster[0].cut("out")
    cluster[1].cut("in")
    cluster[1].cut()
    cluster[0].restore()
    one.sends_in_vain(other)
    cluster[0].cut("out")
    cluster[1].restore()
    one.sends_in_vain(other)
    other.reaches(one, "heard")
    cluster[0].restore()
    one.reaches(other, "again")


@needs_namespaces
def test_what_makes_no_sense(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="direction 'up'"):
        cluster[0].cut("up")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not another node"):
        cluster[0].blackhole(cluster[0])
    with pytest.raises(ValueError, match="no room for 3 nodes"):
        Cluster(3, subnet="10.0.0.0/30")


@needs_namespaces
def test_nothing_is_left_behind() -> None:
    """Not even where the body fails, and of a process that is no one's child any more."""
    started: list[int] = []
    names: list[str] = []
    daemon = "import os, time; os.fork() and os._exit(0); os.setsid(); print(os.getpid()); time.sleep(600)"

    def fail() -> None:
        with Cluster(2) as cluster:
            names.extend(node.name for node in cluster)
            started.append(cluster[1].popen(["sleep", "600"]).pid)
            process = cluster[1].popen([sys.executable, "-uc", daemon], stdout=subprocess.PIPE)
            with cast(IO[bytes], process.stdout) as output:
                started.append(int(output.readline()))
            assert all(map(is_alive, started)) and len(existing().intersection(names)) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(map(is_alive, started)) and not existing().intersection(names)


@needs_namespaces
def test_a_second_close_does_nothing() -> None:
    cluster = Cluster(2)
    names = {node.name for node in cluster}
    assert len(names & existing()) == 2
    run(["ip", "netns", "delete", cluster[0].name])  # nor does it mind
    cluster.close()
    cluster.close()
    assert not {name for name in existing() if name.startswith(cluster[0].name[:-1])}


@needs_namespaces
@pytest.mark.parametrize("failing", ["add", "-batch", "-json"])
def test_half_made(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    made: list[str] = []

    def run_or_fail(argv: list[str], text: str = "") -> str:
        if argv[2] == "add":
            made.append(argv[3])
        if failing in argv and len(made) > 1:
            raise RuntimeError("no more of this")
        return run(argv, text)

    monkeypatch.setattr(namespaces.iproute, "run", run_or_fail)
    monkeypatch.setattr("ma_training.testing.switch.run", run_or_fail)
    with pytest.raises(NamespacesUnavailable, match="no more of this"):
        Cluster(2)
    assert made and not existing().intersection(made)


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in available()
    with pytest.raises(NamespacesUnavailable):
        Cluster(1)


def test_without_ip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "iproute2" in available()
