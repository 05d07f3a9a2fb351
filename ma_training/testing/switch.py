"""The switch between nodes: a bridge in a namespace of its own, and what may pass from whom to whom.

All faults are silent, as those of a broken switch: a sender keeps its link, its routes and its
connections, and is told nothing. Two things make them so, and both need no more than ``ip``:

- A node that is cut both ways is taken off the bridge. Its cable stays in, and leads nowhere. (A port
  cannot simply be disabled: the kernel enables it again when it is told of the change.)
- A single direction is cut in the sender's table of neighbours: the receiver gets a hardware address
  that no one has. All entries are permanent, so nobody asks for addresses by ARP or neighbour
  discovery; questions without an answer would end in EHOSTUNREACH after a few seconds.
"""

import json
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from .iproute import run, run_batch

Pair = tuple[int, int]  # the numbers of sender and receiver

INTERFACE = "eth0"
NOBODY = "02:4d:41:ff:ff:ff"
PATIENCE = 10.0  # seconds, for the kernel to bring links up


@dataclass(frozen=True, slots=True)
class Port:
    """A node as the switch sees it."""

    number: int
    namespace: str
    addresses: tuple[str, ...]  # with the length of the network's prefix: 10.77.0.1/24

    @property
    def name(self) -> str:
        return f"port{self.number}"

    @property
    def hardware_address(self) -> str:
        return f"02:4d:41:00:{self.number >> 8:02x}:{self.number & 0xFF:02x}"


class Switch:
    """All methods raise RuntimeError, with the words of ``ip``, where it does not do as it should."""

    def __init__(self, namespace: str, ports: Sequence[Port]) -> None:
        self._namespace, self._ports = namespace, ports
        self._unplugged: AbstractSet[int] = set()
        self._dropped: AbstractSet[Pair] = set()

    def connect(self) -> None:
        """Makes the bridge and the nodes' interfaces. The namespaces are there, and empty."""
        # Only addresses that were asked for; a kernel without IPv6 does not know the words.
        up = "up addrgenmode none" if Path("/proc/net/if_inet6").exists() else "up"
        lines = [
            "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            f"link set bridge {up}",
        ]
        for port in self._ports:
            lines += [
                f"link add {port.name} type veth peer name {INTERFACE} netns {port.namespace}",
                f"link set {port.name} master bridge {up}",
            ]
        run_batch(self._namespace, lines)
        for port in self._ports:
            lines = [
                "link set lo up",
                f"link set {INTERFACE} address {port.hardware_address} {up}",
                # Without the detection of duplicates, IPv6 addresses can be used at once.
                *(f"address add {a} dev {INTERFACE}{' nodad' * (':' in a)}" for a in port.addresses),
            ]
            for other in self._ports:
                if other is not port:
                    lines += self._way(other, dropped=False)
            run_batch(port.namespace, lines)
        self._wait()

    def set_faults(self, unplugged: AbstractSet[int], dropped: AbstractSet[Pair]) -> None:
        """Cuts the ``unplugged`` off from all, and drops what the ``dropped`` pairs send; nothing else."""
        lines = [
            f"link set {self._ports[number].name} {'nomaster' if number in unplugged else 'master bridge'}"
            for number in sorted(unplugged ^ self._unplugged)
        ]
        if lines:
            run_batch(self._namespace, lines)
        for port in self._ports:
            receivers = sorted(pair[1] for pair in dropped ^ self._dropped if pair[0] == port.number)
            lines = []
            for number in receivers:
                lines += self._way(self._ports[number], dropped=(port.number, number) in dropped)
            if lines:
                run_batch(port.namespace, lines)
        self._unplugged, self._dropped = frozenset(unplugged), frozenset(dropped)

    def _way(self, receiver: Port, dropped: bool) -> list[str]:
        """What leads a sender's packets to the receiver, or nowhere."""
        to = NOBODY if dropped else receiver.hardware_address
        addresses = [address.partition("/")[0] for address in receiver.addresses]
        return [f"neighbour replace {a} lladdr {to} dev {INTERFACE} nud permanent" for a in addresses]

    def _wait(self) -> None:
        # The kernel may tell the bridge later that a new link is up, and frames are lost until then.
        deadline = time.monotonic() + PATIENCE
        while (states := self._states()).count("forwarding") < len(self._ports):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the bridge does not forward: its ports are {states}")
            time.sleep(0.005)

    def _states(self) -> list[str]:
        links = json.loads(run(["ip", "-n", self._namespace, "-json", "-details", "link", "show"]))
        return [link.get("linkinfo", {}).get("info_slave_data", {}).get("state", "") for link in links]
