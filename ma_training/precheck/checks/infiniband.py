"""InfiniBand ports are active."""

from ma_training.devices import FormatError
from ma_training.devices.infiniband import IbPort, parse_ibstat, read_ports
from ma_training.precheck.check import IB, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings

CODES = ("A050147", "A050932")
NO_IB = "no InfiniBand here"


def ports(where: Surroundings) -> tuple[IbPort, ...]:
    """Raises FormatError where ibstat, which is there, has not said anything that can be read."""
    said = where.ask(("ibstat",))
    if said.problem == "missing":
        return read_ports(where.root)
    if not said.ok:
        raise FormatError(said.describe())
    return parse_ibstat(said.text)


def _run(where: Surroundings) -> Finding:
    fix = "look at the cable, the switch port and the subnet manager"
    try:
        found = ports(where)
    except FormatError as error:
        return fail(str(error), fix, "Active", CODES)
    down = [port for port in found if not port.active]
    if down:
        what = "; ".join(f"{port.adapter} port {port.port}: {port.state}, {port.physical}" for port in down)
        return fail(what, fix, "Active", CODES)
    return ok(f"{len(found)} ports active", "Active")


def applies(where: Surroundings) -> str:
    return "" if any(where.path("/sys/class/infiniband").glob("*")) else NO_IB


CHECK = Check("infiniband", IB, _run, applies, hardware=True)
