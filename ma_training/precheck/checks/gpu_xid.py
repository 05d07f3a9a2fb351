"""What NVIDIA's driver wrote to the kernel log since the machine started."""

from ma_training.devices.xid import FATAL, MEANING, Xid
from ma_training.precheck import gpu_report
from ma_training.precheck.check import GPU, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped, warn
from ma_training.precheck.surroundings import Surroundings

_ECC = frozenset({48, 64, 95})


def _run(where: Surroundings) -> Finding:
    xids, why = gpu_report.xids(where)
    if why:
        return skipped(f"the kernel log cannot be read here: {why}")
    if not xids:
        return ok("no Xid that speaks of hardware")
    what = "; ".join(f"{xid.bus}: Xid {xid.number}, {MEANING[xid.number]}" for xid in _last(xids))
    bad = [xid for xid in xids if xid.number in FATAL]
    if not bad:
        return warn(what, "nothing yet: the driver has contained or mended it")
    code = "A050101" if all(xid.number in _ECC for xid in bad) else "A050109"
    return fail(what, "restart the node; where they come back, have the GPU replaced", "none", (code,))


def _last(xids: tuple[Xid, ...]) -> list[Xid]:
    """One of each kind a GPU."""
    return list({(xid.bus, xid.number): xid for xid in xids}.values())


CHECK = Check("gpu-xid", GPU, _run, gpu_report.wanted, hardware=True)
