"""Which network interface the job's traffic takes."""

import socket

from .surroundings import Surroundings

VARIABLES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME")


def present(where: Surroundings) -> list[str]:
    directory = where.path("/sys/class/net")
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def chosen(where: Surroundings) -> dict[str, str]:
    """What variables name, as they are."""
    return {name: where.environ[name] for name in VARIABLES if where.environ.get(name)}


def matching(value: str, names: list[str]) -> list[str]:
    """As NCCL reads it: ``eth,ib`` are beginnings, ``=eth0`` a name, ``^docker,lo`` all but those.

    >>> matching("eth", ["eth0", "lo"]), matching("=eth", ["eth0"]), matching("^lo", ["eth0", "lo"])
    (['eth0'], [], ['eth0'])
    """
    exact, without = "=" in value[:2], value.startswith("^")
    parts = value.lstrip("^=").split(",")

    def hits(name: str) -> bool:
        return any(name == part if exact else name.startswith(part) for part in parts if part)

    return [name for name in names if hits(name) != without]


def default(where: Surroundings) -> str:
    """The one that the default route takes; '' where there is none."""
    for line in where.read("/proc/net/route").splitlines()[1:]:
        words = line.split()
        if len(words) > 1 and words[1] == "00000000":
            return words[0]
    return ""


def used(where: Surroundings) -> str:
    """The first that a variable names, else the default route's."""
    names = present(where)
    for value in chosen(where).values():
        if found := matching(value, names):
            return found[0]
    return default(where)


def own_address(host: str) -> str:
    """This machine's towards ``host``; '' where there is no way. Sends nothing."""
    try:
        found = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], found[1]) as probe:
            probe.connect(found[4])
            return str(probe.getsockname()[0])
    except OSError:
        return ""
