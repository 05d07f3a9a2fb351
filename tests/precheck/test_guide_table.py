"""The guide's table of prechecks: each row passes, and fails; and its lines are spelt as they are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from ma_training.precheck import Disk, Surroundings, Verdict, choose, run_checks
from ma_training.precheck.guide_lines import guide_lines
from ma_training.testing import FakeNode, healthy

from .nodes import GIB, check, surroundings

ITEMS = ("dns", "disk-size root", "disk-size shm", "disk-size cache", "ulimit", "gpu-check")
PASSED = """\
[Modelarts Service Log][task] Detect
[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: dns
[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: disk-size root
[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: disk-size shm
[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: disk-size cache
"""
# The guide's own sample; a line break and a stray character of its printing are left out.
FAILED = """\
[Modelarts Service Log][INFO][detect] item: dns: json:{"code": 0, "message": "ok"}
[Modelarts Service Log][INFO][task][detect] code: 0, message: ok, item: dns
[Modelarts Service Log][INFO][detect] item: disk-size root: json:{"code": 13, \
"message": "the disk space of the path \\"/\\" is 4892852224, which is less than 34359738368"}
[Modelarts Service Log][ERROR][task][detect] code: 13, message: the disk space of the path "/" \
is 4892852224, which is less than 34359738368, item: disk-size root
"""


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    node = FakeNode(tmp_path)
    node.write("etc/volcano/worker.host", "job-worker-0.job\njob-worker-1.job\n")
    for path in ("dev/shm", "cache"):
        (node.root / path).mkdir(parents=True)
    return node


def _with_free(where: Surroundings, path: str, free: int) -> Surroundings:
    target, before = where.path(path), where.disk

    def disk(asked: Path) -> Disk:
        return replace(before(asked), free=free) if asked == target else before(asked)

    return replace(where, disk=disk)


def test_lines_where_all_is_well(node: FakeNode) -> None:
    found = run_checks(choose(ITEMS), surroundings(node))
    assert "\n".join(guide_lines(found, ITEMS)) + "\n" == PASSED


def test_lines_of_a_failure(node: FakeNode) -> None:
    where = _with_free(surroundings(node), "/", 4892852224)
    found = run_checks(choose(("dns", "disk-size root")), where)
    assert "\n".join(guide_lines(found, ITEMS)) + "\n" == FAILED


@pytest.mark.parametrize(
    ("item", "path", "least"),
    [("root", "/", 32 * GIB), ("shm", "/dev/shm", GIB), ("cache", "/cache", 32 * GIB)],
)
def test_disk_size(node: FakeNode, item: str, path: str, least: int) -> None:
    where = surroundings(node)
    assert check(_with_free(where, path, least + 1), f"disk-size {item}").verdict is Verdict.OK
    found = check(_with_free(where, path, least), f"disk-size {item}")
    assert found.verdict is Verdict.FAIL
    assert found.service == (
        13,
        f'the disk space of the path "{path}" is {least}, which is less than {least}',
    )
    elsewhere = replace(where, job=replace(where.job, platform="local"))
    assert check(_with_free(elsewhere, path, 1), f"disk-size {item}").verdict is Verdict.WARN


def test_disk_size_where_there_is_no_cache(tmp_path: Path) -> None:
    found = check(surroundings(FakeNode(tmp_path)), "disk-size cache")
    assert found.verdict is Verdict.SKIPPED and "no /cache" in found.why


def test_dns(node: FakeNode) -> None:
    where = surroundings(node)
    assert check(where, "dns").verdict is Verdict.OK

    def resolve(host: str) -> list[str]:
        if host.startswith("job-worker-1"):
            raise OSError(-2, "Name or service not known")
        return ["10.0.0.1"]

    found = check(replace(where, resolve=resolve), "dns")
    assert found.verdict is Verdict.FAIL
    assert (
        "1 of 2 names" in found.measured and "job-worker-1.job: Name or service not known" in found.measured
    )


def test_dns_applies_to_volcano_jobs_alone(tmp_path: Path) -> None:
    assert check(surroundings(FakeNode(tmp_path)), "dns").verdict is Verdict.SKIPPED


@pytest.mark.parametrize(
    ("name", "low", "title"),
    [
        ("MEMLOCK", 16_000 << 10, "max locked memory is 16000"),
        ("NOFILE", 1_000_000, "open files is 1000000"),
        ("STACK", 8_000 << 10, "stack size is 8000"),
        ("NPROC", 1_000_000, "max user processes is 1000000"),
    ],
)
def test_ulimit(tmp_path: Path, name: str, low: int, title: str) -> None:
    where = surroundings(healthy(tmp_path))
    assert check(where, "ulimit").verdict is Verdict.OK
    enough = replace(where, rlimit=lambda each: low + 1024 if each == name else 1 << 40)
    assert check(enough, "ulimit").verdict is Verdict.OK
    short = replace(where, rlimit=lambda each: low if each == name else 1 << 40)
    found = check(short, "ulimit")
    assert found.verdict is Verdict.FAIL and title in found.measured


def test_ulimit_applies_where_infiniband_is_used(node: FakeNode) -> None:
    assert check(surroundings(node), "ulimit").verdict is Verdict.SKIPPED
    node.add_infiniband()
    where = surroundings(node)
    disabled = replace(where, environ={**where.environ, "NCCL_IB_DISABLE": "1"})
    assert check(disabled, "ulimit").verdict is Verdict.SKIPPED


def test_gpu_check(node: FakeNode) -> None:
    assert check(surroundings(node), "gpu-check").verdict is Verdict.SKIPPED
    node.add_gpus(2)
    assert check(surroundings(node), "gpu-check").verdict is Verdict.OK
    node.gpus.clear()
    node.say_gpus()
    found = check(surroundings(node), "gpu-check")
    assert found.verdict is Verdict.FAIL and found.codes == ("A050931",)
    found = run_checks(choose(("gpu-check",)), surroundings(node))
    assert guide_lines(found, ITEMS)[1] == (
        "[Modelarts Service Log][ERROR][task][detect] code: 1, "
        "message: no GPU detected: nvidia-smi lists none, item: gpu-check"
    )
