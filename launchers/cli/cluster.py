"""Where a job's nodes meet, and the secret that they share."""

import os
import socket
from pathlib import Path
from typing import NamedTuple

from launchers.platforms.placement import Placement
from ma_training.job import Cluster

from .errors import UsageError
from .settings import Settings

TOKEN = "LAUNCHER_TOKEN"


def cluster_of(settings: Settings, placement: Placement) -> Cluster | None:
    """None for a job of one node."""
    topology, spares = placement.topology, settings["spare-nodes"]
    if topology.nnodes == 1 and not spares:
        return None
    host, port = topology.master_addr, topology.master_port
    assert port is not None
    explicit = placement.endpoint == "--rdzv-endpoint" or placement.endpoint.endswith("RDZV_ENDPOINT")
    rank = topology.node_rank if placement.ranked else None
    local = is_local(host)
    # The endpoint of an option may be a coordinator's; the master's address is node 0's in any case.
    leads = rank in (0, None) and local if explicit or rank is None else rank == 0
    return Cluster(
        min_nodes=placement.min_nodes,
        max_nodes=topology.nnodes,
        host=host,
        port=port,
        node_rank=rank,
        spare_nodes=spares,
        join_timeout=settings["join-timeout"],
        leads=leads,
        bind=host if local else "",
        address=host if local else own_address(host, port),
    )


class NotJoined(Exception):
    """The job goes on, or ends, without this node. ``refused``: for a reason of its own."""

    def __init__(self, why: str, exit_code: int, refused: bool) -> None:
        super().__init__(why)
        self.exit_code, self.refused = exit_code, refused


class Key(NamedTuple):
    value: bytes
    secret: bool  # not so where it is made from the job's name


def key_of(settings: Settings, job: str) -> Key:
    token = os.environ.get(TOKEN, "")
    if settings["token-file"]:
        path = Path(settings["token-file"])
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read --token-file {path}: {error}") from None
        if path.stat().st_mode & 0o077:
            raise UsageError(f"--token-file {path} can be read by others", f"chmod 600 {path}")
    if token and len(token) < 16:
        raise UsageError("the job's token is too short: 16 characters at least")
    import hashlib

    material = token or f"ma-training, no secret: {job}"
    return Key(hashlib.sha256(material.encode()).digest(), bool(token))


def unresolved(host: str) -> str:
    """Why ``host`` has no address; '' where it has one."""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        return f"{host} does not resolve: {error.strerror or error}"
    return ""


def is_local(host: str) -> bool:
    """Whether ``host`` is an address of this machine."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind((address[0], 0, *address[2:]))
                return True
            except OSError:
                continue
    return False


def own_address(host: str, port: int) -> str:
    """The address that this machine has towards ``host``; its name where that is unknown so far."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)  # sends nothing
                return str(probe.getsockname()[0])
    except OSError:
        pass
    return socket.gethostname()
