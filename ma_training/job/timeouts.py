"""How long the launcher waits for things, in one place. Seconds throughout.

SIGTERM ──grace──▶ stacks dumped ──dump──▶ SIGKILL ──kill──▶ abandoned
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    grace: float = 30.0  # each rank's own, from its SIGTERM
    dump: float = 0.2  # for a worker that ignores SIGTERM to print its stacks before SIGKILL
    # After SIGKILL: what is still there then sits in the kernel (D state). Tearing down 500 GB takes 35 s.
    kill: float = 60.0

    def __post_init__(self) -> None:
        if self.grace < 0:
            raise ValueError(f"--shutdown-timeout is {self.grace:g} s, but cannot be negative")
