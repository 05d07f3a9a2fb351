"""Several nodes on one machine: network namespaces, joined by a switch that breaks on command.

Nothing of the host's network is touched, so clusters cannot disturb it or one another. The nodes share
everything but the network: files, process ids, the host name, processors and memory.

Limits of the faults: a single direction ("in", "out", ``blackhole``) is cut for the nodes' own addresses;
broadcasts, and addresses that a test adds itself, still pass. And a node whose interface is taken down and
up forgets what it may not send. ``cut()`` has neither limit. A test that is killed cannot clean up: what it
leaves are namespaces named ``ma-...``, for ``ip netns delete``.
"""

import ipaddress
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Literal

from . import iproute
from .switch import INTERFACE, Pair, Port, Switch

Direction = Literal["both", "in", "out"]

PATIENCE = 10.0  # seconds, for killed processes to end


class NamespacesUnavailable(RuntimeError):
    """This machine or this user cannot have network namespaces; the message says why."""


def available() -> str:
    """Why a ``Cluster`` cannot be made here; '' where it can. Tries with a small one: some 50 ms."""
    try:
        with Cluster(2) as cluster:
            iproute.run(cluster[0].command("true"))
            cluster[0].cut()
            cluster[0].restore()
    except RuntimeError as error:
        return str(error)
    return ""


class Node:
    """A network namespace with a loopback and one interface. Made by ``Cluster``.

    The faults of a node add up until its ``restore``. The methods that set faults raise RuntimeError
    where the cluster is closed, or someone else changed its namespaces.
    """

    interface = INTERFACE  # for GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME

    def __init__(self, cluster: "Cluster", number: int, name: str, address: str, address6: str) -> None:
        self.number = number
        self.name = name  # the namespace's
        self.address = address
        self.address6 = address6  # '' without IPv6
        self._cluster = cluster
        self._is_cut = False
        self._drops: set[Pair] = set()

    def command(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` on this node; in the process that it is started as."""
        return ["ip", "netns", "exec", self.name, *argv]

    def popen(self, argv: Sequence[str], **kwargs: Any) -> "subprocess.Popen[Any]":
        """Starts ``argv`` on this node, with the arguments of ``subprocess.Popen``; killed at the end."""
        process = subprocess.Popen(self.command(*argv), **kwargs)
        self._cluster._started.append(process)
        return process

    def cut(self, direction: Direction = "both") -> None:
        """Silently drops all that others send to this node ("in"), that it sends ("out"), or both.

        Raises ValueError for another direction.
        """
        others = [node.number for node in self._cluster if node is not self]
        if direction == "both":
            self._is_cut = True
        elif direction == "in":
            self._drops |= {(other, self.number) for other in others}
        elif direction == "out":
            self._drops |= {(self.number, other) for other in others}
        else:
            raise ValueError(f"direction {direction!r} is not one of 'both', 'in', 'out'")
        self._cluster._set_faults()

    def blackhole(self, other: "Node") -> None:
        """Silently drops what this node and ``other`` send to each other, and nothing else.

        Raises ValueError where ``other`` is not another node of the same cluster.
        """
        if other is self or other._cluster is not self._cluster:
            raise ValueError(f"{other.name} is not another node of the cluster")
        self._drops |= {(self.number, other.number), (other.number, self.number)}
        self._cluster._set_faults()

    def restore(self) -> None:
        """Ends the faults that were given to this node. Those given to other nodes stay."""
        self._is_cut = False
        self._drops.clear()
        self._cluster._set_faults()


class Cluster:
    """Nodes with the addresses .1, .2 and so on of one network; ``cluster[0]`` is the first.

    ``subnet`` need not be free on the host, nor differ from other clusters': no packet gets in or out.
    With ``ipv6`` the nodes are also fd77::1, fd77::2 and so on. Raises NamespacesUnavailable, and
    ValueError where ``subnet`` has no room. Use it in a ``with`` statement, or call ``close``.
    """

    def __init__(self, nodes: int, subnet: str = "10.77.0.0/24", ipv6: bool = False) -> None:
        network = ipaddress.IPv4Network(subnet)
        if not 1 <= nodes <= network.num_addresses - 2:
            raise ValueError(f"{subnet} has no room for {nodes} nodes")
        prefix = f"ma-{secrets.token_hex(4)}"
        self._nodes = []
        ports = []
        for number in range(nodes):
            name, address = f"{prefix}-{number}", str(network[number + 1])
            address6 = f"fd77::{number + 1:x}" if ipv6 else ""
            self._nodes.append(Node(self, number, name, address, address6))
            addresses = (f"{address}/{network.prefixlen}", f"{address6}/64")
            ports.append(Port(number, name, addresses if ipv6 else addresses[:1]))
        self._started: list[subprocess.Popen[Any]] = []
        self._namespaces: list[str] = []
        self._switch = Switch(f"{prefix}-hub", ports)
        if os.geteuid() != 0:
            raise NamespacesUnavailable("only root can make network namespaces")
        if shutil.which("ip") is None:
            raise NamespacesUnavailable("there is no `ip` command (iproute2)")
        try:
            for name in (f"{prefix}-hub", *(node.name for node in self)):
                self._namespaces.append(name)  # first, so that an interrupt in between leaves nothing
                iproute.run(["ip", "netns", "add", name])
            self._switch.connect()
        except RuntimeError as error:
            self.close()
            raise NamespacesUnavailable(str(error)) from error
        except BaseException:
            self.close()
            raise

    def __getitem__(self, number: int) -> Node:
        return self._nodes[number]

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kills what was started on the nodes and whatever else runs there, and removes the namespaces.

        A second call does nothing. Raises RuntimeError, after all else is removed, where processes do not
        end when they are killed, or a namespace cannot be removed.
        """
        complaints = []
        if left := self._kill():
            complaints.append(f"killed, but still there: {left}")
        for name in self._existing():
            try:
                iproute.run(["ip", "netns", "delete", name])  # its links, and the bridge, go with it
            except RuntimeError as error:
                complaints.append(str(error))
        self._namespaces.clear()
        if complaints:
            raise RuntimeError("; ".join(complaints))

    def _set_faults(self) -> None:
        unplugged = {node.number for node in self if node._is_cut}
        dropped = {pair for node in self for pair in node._drops}
        self._switch.set_faults(unplugged, dropped)

    def _kill(self) -> list[int]:
        """What is left all the same."""
        deadline = time.monotonic() + PATIENCE
        while True:
            pids = {process.pid for process in self._started if process.poll() is None}
            pids = pids.union(*map(iproute.processes, self._existing()))
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not pids or time.monotonic() > deadline:
                return sorted(pids)
            time.sleep(0.005)

    def _existing(self) -> list[str]:
        """Those that were made, and that no one else removed."""
        return sorted(iproute.namespaces().intersection(self._namespaces)) if self._namespaces else []
