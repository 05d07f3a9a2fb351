"""The clock is kept by a time service. How far nodes' clocks differ is told where they meet."""

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings

CODE = "A050146"
_SERVICES = ("chronyd", "ntpd", "systemd-timesyn")  # the kernel keeps 15 letters of a name


def _service(where: Surroundings) -> str:
    """One that runs and that is seen from here: a container does not see its host's."""
    for path in where.path("/proc").glob("[0-9]*/comm"):
        try:
            name = path.read_text(errors="replace").strip()
        except OSError:
            continue
        if name in _SERVICES:
            return name
    return ""


def _run(where: Surroundings) -> Finding:
    state = where.clock()
    if state.synchronised is None:
        return skipped("the kernel may not be asked for its clock here")
    if state.synchronised:
        return ok("the kernel's clock is synchronised", "synchronised")
    service = _service(where)
    if service:
        what = f"{service} runs, but the kernel's clock is not synchronised"
        return fail(what, f"see {service}'s own state (chronyc tracking, ntpq -p)", "synchronised", (CODE,))
    return warn(
        "the kernel's clock is not synchronised, and no ntpd or chronyd is seen from here",
        "start chronyd on the host; signatures of object storage fail when clocks are minutes apart",
        "synchronised",
        (CODE,),
    )


CHECK = Check("clock", SYSTEM, _run)
