"""Buckets that the job writes to take an object, and let go of it."""

from ma_training.precheck.check import SYSTEM, Check
from ma_training.precheck.finding import Finding, fail, ok
from ma_training.precheck.object_store import is_url, write_and_remove
from ma_training.precheck.surroundings import Surroundings

FIX = (
    "see the rights of the bucket and the credentials: AccessDenied is the bucket's, SignatureDoes... a key's"
)


def _urls(where: Surroundings) -> list[str]:
    return [target for target in where.job.writes if is_url(target)]


def _run(where: Surroundings) -> Finding:
    whys = {url: write_and_remove(url, where.environ) for url in _urls(where)}
    bad = [f"{url}: {why}" for url, why in whys.items() if why]
    return fail("; ".join(bad), FIX) if bad else ok(f"written to and cleaned: {', '.join(whys)}")


def _applies(where: Surroundings) -> str:
    return "" if _urls(where) else "no bucket is named (--storage s3://BUCKET/DIR)"


CHECK = Check("object-storage", SYSTEM, _run, _applies, full=True, seconds=60)
