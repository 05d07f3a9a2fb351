"""Names that a platform's users look for among its logs."""

from dataclasses import dataclass
from pathlib import Path

PREFIX = "modelarts-job-"


@dataclass(frozen=True, slots=True)
class LogNames:
    """ModelArts': a file for each rank, and one of all that a node's container has printed."""

    task: str  # "worker-0"
    directory: Path | None = None  # None: "log" in the run directory

    def rank(self, job_id: str, rank: int, device: int) -> str:
        return f"{_stem(job_id)}-proc-rank-{rank}-device-{device}.txt"

    def everything(self, job_id: str) -> str:
        return f"{_stem(job_id)}-{self.task}.log"


def _stem(job_id: str) -> str:
    return job_id if job_id.startswith(PREFIX) else PREFIX + job_id
