"""This node's name, rank 0's and the others' resolve; this node's address leads back to its name."""

import socket

from ma_training.precheck.check import NETWORK, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

FIX = "complete /etc/hosts or the cluster's DNS, or give addresses: --master-addr, --local-addr"


def _run(where: Surroundings) -> Finding:
    own = where.read("/proc/sys/kernel/hostname").strip() or socket.gethostname()
    bad = []
    for name in dict.fromkeys((where.job.master[0], *where.job.hosts)):
        try:
            where.resolve(name)
        except OSError as error:
            bad.append(f"{name}: {error.strerror or error}")
    if bad:
        return fail(f"does not resolve: {'; '.join(bad[:4])}", FIX)
    try:
        addresses = where.resolve(own)
    except OSError as error:
        return warn(f"this node's own name {own} does not resolve: {error.strerror or error}", FIX)
    if all(address.startswith("127.") or address == "::1" for address in addresses):
        return warn(
            f"this node's own name {own} is {', '.join(addresses)}: gloo would listen where no one comes",
            "take it out of the 127.0.1.1 line of /etc/hosts, or set GLOO_SOCKET_IFNAME",
        )
    return ok(f"{own} is {addresses[0]}; {1 + len(where.job.hosts)} names resolve")


def _applies(where: Surroundings) -> str:
    return "" if where.job.nnodes > 1 else "one node"


CHECK = Check("names", NETWORK, _run, _applies)
