"""The packet size of the interface that is used; that all nodes have the same is told where they meet."""

from ma_training.precheck import interfaces
from ma_training.precheck.check import NETWORK, Check
from ma_training.precheck.finding import Finding, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings

LEAST = 1400  # below it something is wrong: tunnels take 50 to 100 of 1500


def mtu(where: Surroundings) -> tuple[str, int] | None:
    name = interfaces.used(where)
    text = where.read(f"/sys/class/net/{name}/mtu").strip() if name else ""
    return (name, int(text)) if text.isdigit() else None


def _run(where: Surroundings) -> Finding:
    found = mtu(where)
    if found is None:
        return skipped("not known which interface is used")
    measured = f"{found[0]}: {found[1]}"
    if found[1] < LEAST:
        return warn(measured, f"ip link set {found[0]} mtu 1500, on all nodes", f"at least {LEAST}")
    return ok(measured)


def _applies(where: Surroundings) -> str:
    return "" if where.job.nnodes > 1 else "one node"


CHECK = Check("mtu", NETWORK, _run, _applies)
