"""The kubelet's disk can be written, where it is seen from here."""

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings

PATH = "/mnt/paas/kubernetes/kubelet"


def _run(where: Surroundings) -> Finding:
    if where.disk(where.path(PATH)).read_only:
        return fail(f"{PATH} is read-only", "have the node's disk looked at", "writable", ("A050206",))
    return ok(f"{PATH} is writable")


def _applies(where: Surroundings) -> str:
    return "" if where.path(PATH).exists() else f"no {PATH} is seen from here"


CHECK = Check("kubelet-disk", SYSTEM, _run, _applies, hardware=True)
