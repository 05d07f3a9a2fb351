"""Ports that the job will need are free."""

import socket

from ma_training.precheck.check import NETWORK, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

HCCL_BASE, HCCL_PORTS = 60_000, 16


def is_free(port: int) -> bool:
    """Also where a connection of an earlier run is still in TIME_WAIT."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _hccl(where: Surroundings) -> range:
    if not where.has_npus:
        return range(0)
    text = where.environ.get("HCCL_IF_BASE_PORT", "")
    base = int(text) if text.isdigit() and int(text) < 65_536 - HCCL_PORTS else HCCL_BASE
    return range(base, base + HCCL_PORTS)


def _run(where: Surroundings) -> Finding:
    master = where.job.master[1] if where.job.leads else None
    if master is not None and not is_free(master):
        return fail(
            f"port {master} of the rendezvous is taken on this node",
            f"see who has it (ss -ltnp 'sport = :{master}'), or give all nodes another --master-port",
        )
    hccl = _hccl(where)
    taken = [port for port in hccl if not is_free(port)]
    if taken:
        what = f"HCCL's ports {', '.join(map(str, taken))} are taken"
        return fail(what, "end what has them, or set HCCL_IF_BASE_PORT")
    if hccl and (why := _ephemeral(where, hccl)):
        return warn(why, f"sysctl net.ipv4.ip_local_reserved_ports={hccl[0]}-{hccl[-1]}")
    return ok(f"port {master} is free" if master else "no fixed port is needed")


def _ephemeral(where: Surroundings, hccl: range) -> str:
    """Whether the kernel may give HCCL's ports to anyone who connects."""
    bounds = where.read("/proc/sys/net/ipv4/ip_local_port_range").split()
    reserved = where.read("/proc/sys/net/ipv4/ip_local_reserved_ports").strip()
    if len(bounds) == 2 and int(bounds[0]) <= hccl[0] <= int(bounds[1]) and not reserved:
        return f"HCCL's ports {hccl[0]}-{hccl[-1]} are among those that the kernel gives away"
    return ""


CHECK = Check("ports", NETWORK, _run)
