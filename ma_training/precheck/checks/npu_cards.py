"""MindSpore on several nodes wants all eight cards of each."""

from ma_training.precheck import npu_report
from ma_training.precheck.check import NPU, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.surroundings import Surroundings

CARDS = 8


def _run(where: Surroundings) -> Finding:
    count = where.job.cards or where.npus or where.job.nproc
    if count != CARDS:
        what = f"{count} NPUs on this node of {where.job.nnodes}"
        return fail(what, f"take a flavour of {CARDS} cards, or one node", str(CARDS))
    return ok(f"{count} NPUs on each of {where.job.nnodes} nodes", str(CARDS))


def _applies(where: Surroundings) -> str:
    if not where.has_npus:
        return npu_report.NO_NPU
    if where.job.framework != "mindspore" or where.job.nnodes == 1:
        return "not a MindSpore job of several nodes"
    return ""


CHECK = Check("npu-cards", NPU, _run, _applies)
