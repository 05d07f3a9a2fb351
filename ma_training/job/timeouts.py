"""How long the launcher waits for things, in one place. Seconds throughout.

no progress ──hang──▶ looked into ──▶ SIGTERM ──grace──▶ stacks dumped ──dump──▶ SIGKILL ──kill──▶ abandoned
            ──────────collective──────────▶ the framework itself gives up
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    grace: float = 30.0  # each rank's own, from its SIGTERM
    dump: float = 0.2  # for a worker that ignores SIGTERM to print its stacks before SIGKILL
    # After SIGKILL: what is still there then sits in the kernel (D state). Tearing down 500 GB takes 35 s.
    kill: float = 60.0
    hang: float | None = None  # without a step; None: learned from the job itself
    confirm: float = 5.0  # from the suspicion of a hang to certainty
    collective: float = 600.0  # NCCL's own watchdog: what a script gives init_process_group(timeout=)

    def __post_init__(self) -> None:
        if self.grace < 0:
            raise ValueError(f"--shutdown-timeout is {self.grace:g} s, but cannot be negative")
        if self.hang is None:
            return
        if self.hang <= 0:
            raise ValueError(f"--hang-timeout is {self.hang:g} s, but must be more than 0")
        if self.hang + self.confirm >= self.collective:
            raise ValueError(
                f"--hang-timeout {self.hang:g} s, and {self.confirm:g} s to be certain, is not below "
                f"--collective-timeout {self.collective:g} s, when the framework's own watchdog ends the job "
                "without an explanation: give one less, or the other (and init_process_group(timeout=)) more"
            )
