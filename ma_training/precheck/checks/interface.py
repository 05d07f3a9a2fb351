"""The network interfaces that variables name are here and up, and there is no doubt which one is taken."""

from ma_training.precheck import interfaces
from ma_training.precheck.check import NETWORK, Check
from ma_training.precheck.finding import Finding, fail, ok, warn
from ma_training.precheck.surroundings import Surroundings

_VIRTUAL = ("lo", "docker", "veth", "br-", "cni", "flannel", "cali", "virbr", "tunl", "dummy")


def _up(where: Surroundings, name: str) -> bool:
    """``unknown`` is what virtual interfaces say that are up."""
    return where.read(f"/sys/class/net/{name}/operstate").strip() in ("up", "unknown")


def _run(where: Surroundings) -> Finding:
    names = interfaces.present(where)
    for variable, value in interfaces.chosen(where).items():
        found = interfaces.matching(value, names)
        if not found:
            what = f"{variable}={value}, but there is no such interface (there are {', '.join(names)})"
            return fail(what, f"correct {variable}, or leave it out")
        if not any(_up(where, name) for name in found):
            return fail(f"{variable}={value}, but {', '.join(found)} is down", f"ip link set {found[0]} up")
    up = [name for name in names if not name.startswith(_VIRTUAL) and _up(where, name)]
    used = interfaces.used(where)
    if len(up) > 1 and not interfaces.chosen(where):
        what = f"{', '.join(up)} are up, and no variable says which one to take"
        return warn(
            what, f"NCCL_SOCKET_IFNAME={used or up[0]} GLOO_SOCKET_IFNAME={used or up[0]}, on all nodes"
        )
    return ok(used or ", ".join(up) or "loopback alone")


def _applies(where: Surroundings) -> str:
    several = where.job.nnodes > 1 or interfaces.chosen(where)
    return "" if several else "one node"


CHECK = Check("interface", NETWORK, _run, _applies)
