"""What a job has been through: its failed attempts, and the nodes that were to blame. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ma_training.diagnosis import WorkerFailure
from ma_training.job import format_duration

from .messages import Terms
from .restart_policy import Failure, GiveUp, Restart, decide

BLAMED = 3  # failures within WINDOW that exclude a node
WINDOW = 600.0  # seconds
EXCLUDED_FOR = 1800.0  # seconds


class Ledger:
    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.restarts = 0
        self._blame: dict[str, list[float]] = {}  # machine → when
        self._until: dict[str, float] = {}

    def judge(
        self,
        root: WorkerFailure | None,
        host: str,
        machine: str,
        seconds: float,
        steps: int | None,
        terms: Terms | None,
        now: float,
    ) -> Restart | GiveUp:
        """One more attempt has failed: on ``host``, by ``root``, or by the loss of that node.

        ``machine`` is what is blamed; '' where it is unknown."""
        if root is None:
            failure = Failure(f"{host} is lost", seconds, steps, external=True)
        else:
            failure = Failure.of(root, seconds, steps)
        self.failures.append(failure)
        decision = decide(self.failures, terms.max_restarts if terms else 0)
        if isinstance(decision, Restart):
            self.restarts = decision.number
            self._blame_for(machine, now)
        return decision

    def excludes(self, machine: str, now: float) -> bool:
        return self._until.get(machine, 0.0) > now

    def count_excluded(self, machines: Iterable[str], now: float) -> int:
        return sum(self.excludes(machine, now) for machine in machines) if self._until else 0

    def why_excluded(self, machine: str, now: float) -> str:
        if not self.excludes(machine, now):
            return ""
        left = format_duration(self._until[machine] - now)
        return f"this node is left out for {left}: {BLAMED} attempts have failed on it"

    def _blame_for(self, machine: str, now: float) -> None:
        if not machine:
            return
        times = [time for time in self._blame.get(machine, ()) if now - time < WINDOW] + [now]
        self._blame[machine] = times
        if len(times) >= BLAMED:
            self._until[machine] = now + EXCLUDED_FOR

    # --- for a new leader ---

    def records(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(asdict(failure) for failure in self.failures)

    def restore(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.failures = [Failure(**record) for record in records]
        self.restarts = len(self.failures)
