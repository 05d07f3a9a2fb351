"""Errors that InfiniBand ports have counted since they were reset."""

from ma_training.devices.infiniband import read_errors
from ma_training.precheck.check import IB, Check
from ma_training.precheck.finding import Finding, ok, warn
from ma_training.precheck.surroundings import Surroundings

from .infiniband import applies


def _run(where: Surroundings) -> Finding:
    errors = read_errors(where.root)
    if not errors:
        return ok("no errors counted")
    what = "; ".join(
        f"{port}: {', '.join(f'{name} {count}' for name, count in counts.items())}"
        for port, counts in errors.items()
    )
    return warn(
        what, "see whether they grow (perfquery); a cable or module that makes errors slows all nodes"
    )


CHECK = Check("ib-errors", IB, _run, applies)
