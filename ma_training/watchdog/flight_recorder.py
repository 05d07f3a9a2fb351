"""What PyTorch's flight recorders say of all ranks: which collectives each has entered. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recorder:
    """Of all ranks of a node."""

    def lagging(self) -> tuple[int, ...]:
        """Ranks that have not entered a collective in which others wait."""
        return ()

    def mismatch(self) -> bool:
        """Ranks have entered one collective with different operations or sizes."""
        return False

    def sentence(self) -> str:
        return ""
