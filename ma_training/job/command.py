"""What the user asked to run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Command:
    """A Python script, a Python module (``-m``) or any program (``--no-python``), with its arguments."""

    kind: Literal["script", "module", "program"]
    target: str
    args: tuple[str, ...] = ()

    @property
    def is_python(self) -> bool:
        return self.kind != "program"

    def __str__(self) -> str:
        return " ".join((self.target, *self.args))
