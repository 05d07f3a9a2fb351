"""The names that volcano gives the job's pods resolve: the guide's ``dns``."""

from concurrent.futures import ThreadPoolExecutor

from ma_training.precheck.check import GUIDE, Check
from ma_training.precheck.finding import Finding, fail, ok, skipped
from ma_training.precheck.surroundings import Surroundings

MOST = 32  # names asked at once


def _names(where: Surroundings) -> list[str]:
    files = sorted(where.path("/etc/volcano").glob("*.host"))
    words = (word for file in files for word in file.read_text(errors="replace").split())
    return list(dict.fromkeys(words))


def _run(where: Surroundings) -> Finding:
    names = _names(where)
    if not names:
        return skipped("there is no name in /etc/volcano/*.host")
    with ThreadPoolExecutor(max_workers=min(MOST, len(names))) as pool:
        whys = list(pool.map(lambda name: _why(where, name), names))
    bad = [f"{name}: {why}" for name, why in zip(names, whys, strict=True) if why]
    if bad:
        what = f"{len(bad)} of {len(names)} names of /etc/volcano do not resolve: {'; '.join(bad[:4])}"
        return fail(what, "look at the pods of the job: one has not started, or the cluster's DNS is down")
    return ok(f"{len(names)} names resolve", "all do")


def _why(where: Surroundings, name: str) -> str:
    try:
        where.resolve(name)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _applies(where: Surroundings) -> str:
    there = any(where.path("/etc/volcano").glob("*.host"))
    return "" if there else "no /etc/volcano/*.host: not a volcano job"


CHECK = Check("dns", GUIDE, _run, _applies, item=True)
