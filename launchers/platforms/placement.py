"""Options and what the platform said, put together: where this launcher stands in the job."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from launchers.cli.errors import UsageError
from launchers.cli.settings import Settings
from ma_training.job import Topology

from .base import Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact, split_endpoint
from .ports import check_free
from .registry import detect
from .script import Script
from .starting import Starting
from .visible_devices import visible

DEFAULT_PORT = 29500  # torchrun's, for several nodes


class Placement(NamedTuple):
    name: str  # of the platform
    because: str  # what gave it away
    platform: Platform
    topology: Topology
    job_id: str | None
    starting: Starting
    min_nodes: int
    ranked: bool  # someone has said which node this is
    endpoint: str  # who said where the leader is
    facts: Mapping[str, Fact[Any]]  # of the topology, by field
    notes: tuple[str, ...]


def place(settings: Settings, environment: Environment, script: Script | None = None) -> Placement:
    """``script``: what is to be run, where that is known.

    Raises UsageError where options and platform contradict each other, or ask for what is not here.
    """
    name, because, platform = detect(environment, _given(settings, "platform"))
    found = platform.discover(environment)
    found.check(_given(settings, "node-rank") is not None)
    starting = platform.starting(environment, script or Script(), _given(settings, "engine"))
    min_nodes, nnodes = _nodes(settings, found)
    node_rank = _node_rank(settings, found, nnodes)
    workers = _workers(settings, environment, found, starting.processes)
    address, port = _rendezvous(settings, found, nnodes, node_rank)
    index, launchers = found.beside
    topology = Topology(
        nproc_per_node=workers.value,
        nnodes=nnodes.value,
        node_rank=node_rank.value,
        node_name=f"node{node_rank.value}",
        master_addr=address.value,
        master_port=port.value if port else None,
        local_index=index,
        local_launchers=launchers,
    )
    facts: dict[str, Fact[Any]] = {
        "nnodes": nnodes,
        "node_rank": node_rank,
        "nproc_per_node": workers,
        "master_addr": address,
    }
    if port:
        facts["master_port"] = port
    if found.hosts:
        facts["hosts"] = found.hosts
    job = _given(settings, "rdzv-id") or found.job_id
    if job:
        facts["job_id"] = job
    return Placement(
        name,
        because,
        platform,
        topology,
        job.value if job else None,
        starting,
        min_nodes,
        bool(_given(settings, "node-rank") or found.node_rank),
        address.origin,
        facts,
        tuple(found.notes),
    )


def _given(settings: Settings, name: str) -> Fact[Any] | None:
    """What the user has said: on the command line, by a variable of ours, or in the file."""
    setting = settings.setting(name)
    return None if setting.origin == "default" else Fact(setting.value, setting.origin)


def _nodes(settings: Settings, found: Discovery) -> tuple[int, Fact[int]]:
    """The fewest nodes that will do, and the most."""
    given = _given(settings, "nnodes")
    if given is None:
        most = found.nnodes or Fact(1, "default")
        return most.value, most
    least, _, most_text = given.value.partition(":")
    try:
        first, last = int(least), int(most_text or least)
    except ValueError:
        raise UsageError(f"{given.origin}: {given.value!r} is not a number of nodes") from None
    if first < 1 or last < first:
        raise UsageError(f"{given.origin}: {given.value!r} is not a number of nodes of at least 1")
    if last > 1 and settings["standalone"]:
        raise UsageError(
            f"--standalone means one node, but {given.origin} is {given.value}", "leave one of the two out"
        )
    if found.nnodes and not first <= found.nnodes.value <= last:
        raise _against(Fact(given.value, given.origin), found.nnodes)
    return first, Fact(last, given.origin)


def _node_rank(settings: Settings, found: Discovery, nnodes: Fact[int]) -> Fact[int]:
    given = _given(settings, "node-rank")
    if given and found.node_rank and given.value != found.node_rank.value:
        raise _against(given, found.node_rank)
    rank = given or found.node_rank or Fact(0, "default")
    if rank.value >= nnodes.value:
        raise UsageError(
            f"{rank.origin} is {rank.value}, but {nnodes.origin.replace('default', '--nnodes')} is "
            f"{nnodes.value}: ranks go from 0 to {nnodes.value - 1}"
        )
    return rank


def _against(option: Fact[Any], platform: Fact[Any]) -> UsageError:
    return UsageError(
        f"{option.origin} is {option.value}, but {platform.origin} says {platform.value}",
        f"leave the option out; {HINT}",
    )


def _workers(
    settings: Settings, environment: Environment, found: Discovery, processes: Fact[int] | None
) -> Fact[int]:
    listed = visible(environment, found.workers)
    given = _given(settings, "nproc-per-node")
    if given and isinstance(given.value, int):
        return given
    gpus, npus = environment.gpus(), environment.npus()
    if given and given.value != "auto":
        count = {"gpu": gpus, "npu": npus, "cpu": _cores()}[given.value]
        if not count:
            raise UsageError(
                f"{given.origin} {given.value}: no {given.value.upper()} found on this machine",
                "check that the driver is loaded (nvidia-smi, npu-smi info), or give a number",
            )
        return Fact(count, f"{given.origin} {given.value}")
    devices = Fact(gpus or npus, "GPUs here" if gpus else "NPUs here") if gpus or npus else None
    single = found.workers if found.beside[1] > 1 else None
    known = processes or single or listed or found.workers or devices
    if known is None and given:
        return Fact(_cores(), f"{given.origin} auto: cores")
    return known or Fact(1, "default")


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _rendezvous(
    settings: Settings,
    found: Discovery,
    nnodes: Fact[int],
    node_rank: Fact[int],
) -> tuple[Fact[str], Fact[int] | None]:
    """Where rank 0 is: --master-* first, then --rdzv-endpoint, then the platform's word."""
    address, port = _given(settings, "master-addr"), _given(settings, "master-port")
    if address is None and node_rank.value == 0:
        address = _given(settings, "local-addr")
    endpoint = _given(settings, "rdzv-endpoint")
    if endpoint is not None:
        host, number = split_endpoint(endpoint.value, endpoint.origin)
        address = address or Fact(host, endpoint.origin)
        port = port or (Fact(number, endpoint.origin) if number else None)
    if nnodes.value == 1:
        if port is not None:
            check_free(port.value)
        return address or Fact("127.0.0.1", "one node"), port
    address = address or found.master_addr
    if address is None:
        raise UsageError(
            f"{nnodes.origin} is {nnodes.value}, but nothing says where node 0 is",
            "give every node --master-addr HOST (node 0's) and its own --node-rank"
            if found.node_rank is None
            else "give every node --master-addr HOST, node 0's; or write mpirun -x MASTER_ADDR=HOST",
        )
    address = Fact(address.value.strip("[]"), address.origin)
    return address, port or found.master_port or Fact(DEFAULT_PORT, "default")
