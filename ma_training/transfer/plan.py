"""What a job wants copied, and between which places."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

EVERY = 5.0  # seconds between looks at what has changed
WORKERS = 8


@dataclass(frozen=True, slots=True)
class Input:
    url: str
    directory: str


@dataclass(frozen=True, slots=True)
class Output:
    directory: str
    url: str


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """Directories are absolute. '' for what is not wanted.

    ``identity``: of the checkpoints. ``name`` and ``unique``: of the job, as leases have it (Claim).
    """

    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    checkpoints: str = ""
    checkpoint_url: str = ""
    log_url: str = ""
    identity: str = ""
    name: str = ""
    unique: bool = False
    joins: bool = False  # other nodes may have begun this very job: who has the lease is known when they meet
    every: float = EVERY
    workers: int = WORKERS

    def __bool__(self) -> bool:
        return bool(self.inputs or self.outputs or self.checkpoint_url or self.log_url)

    @property
    def uploads(self) -> bool:
        return bool(self.outputs or self.checkpoint_url or self.log_url)

    @property
    def leased(self) -> tuple[str, ...]:
        """URLs that no other job may write to."""
        urls = [output.url for output in self.outputs] + [self.checkpoint_url]
        return tuple(dict.fromkeys(filter(None, urls)))

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "TransferPlan":
        values = dict(record)
        values["inputs"] = tuple(Input(**one) for one in record["inputs"])
        values["outputs"] = tuple(Output(**one) for one in record["outputs"])
        return cls(**values)


def checkpoint_url_of(checkpoints: Path, outputs: tuple[Output, ...], given: str) -> str:
    """Where checkpoints go: as ``given``, or, where they lie in an output directory, to their place there.

    >>> checkpoint_url_of(Path("/out/ckpt"), (Output("/out", "obs://b/o"),), "")
    'obs://b/o/ckpt'
    """
    if given:
        return given
    for output in outputs:
        if checkpoints.is_relative_to(output.directory):
            return f"{output.url.rstrip('/')}/{checkpoints.relative_to(output.directory)}".removesuffix("/.")
    return ""
