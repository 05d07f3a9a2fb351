"""Surroundings of fakes for checks: another machine, another job."""

from pathlib import Path
from typing import Any

from ma_training.precheck import (
    ClockState,
    Disk,
    Finding,
    Job,
    Surroundings,
    choose,
    run_checks,
)
from ma_training.testing import FakeNode

GIB = 1 << 30


def surroundings(node: FakeNode, **job: Any) -> Surroundings:
    def disk(path: Path) -> Disk:
        if not path.exists():
            raise FileNotFoundError(path)
        return Disk(100 * GIB, 200 * GIB, 10**6, 10**7, path in node.read_only)

    return Surroundings(
        Job(platform="modelarts", cards=node.cards, run_base=node.root / "runs", **job),
        environ=node.environ,
        root=node.root,
        disk=disk,
        clock=lambda: ClockState(node.clock_synchronised),
        rlimit=lambda name: 1 << 40,
        resolve=lambda host: ["10.0.0.1"],
    )


def check(where: Surroundings, *names: str) -> Finding:
    (found,) = run_checks(choose(names), where)
    return found
