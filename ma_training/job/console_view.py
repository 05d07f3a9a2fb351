"""Which workers' output the launcher shows, and how each line is marked."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from string import Template

STDOUT, STDERR, BOTH = 1, 2, 3
FIELDS = ("node", "rank", "local_rank", "role_name", "attempt")
DEFAULT_PREFIX = "${node}:${rank} | "


@dataclass(frozen=True, slots=True)
class StreamChoice:
    """torchrun's way to name streams of local ranks: ``3`` for all, or ``0:1,1:2``."""

    everyone: int = 0
    ranks: dict[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "StreamChoice":
        """Raises ValueError for anything else."""
        wanted = "write 0, 1 (stdout), 2 (stderr) or 3 (both), or LOCAL_RANK:STREAMS,..."
        if text in ("0", "1", "2", "3"):
            return cls(int(text))
        ranks = {}
        for part in text.split(","):
            rank, colon, streams = part.strip().partition(":")
            if not (colon and rank.isdigit() and streams in ("0", "1", "2", "3")):
                raise ValueError(f"{text!r} names no streams: {wanted}")
            ranks[int(rank)] = int(streams)
        return cls(0, ranks)

    def of(self, local_rank: int) -> int:
        return self.ranks.get(local_rank, self.everyone)

    def __bool__(self) -> bool:
        return bool(self.everyone or self.ranks)

    def __str__(self) -> str:
        return ",".join(f"{rank}:{streams}" for rank, streams in self.ranks.items()) or str(self.everyone)


def parse_prefix(text: str) -> str:
    """A template of `FIELDS`. Raises ValueError for an unknown field or a stray ``$``."""
    example = dict.fromkeys(FIELDS, "")
    try:
        Template(text).substitute(example)
    except KeyError as unknown:
        raise ValueError(f"{text!r} has the field {unknown}, but there are {', '.join(FIELDS)}") from None
    except ValueError:
        raise ValueError(
            f"{text!r} has a $ that begins no field: write ${{rank}}, or $$ for a dollar"
        ) from None
    return text


@dataclass(frozen=True, slots=True)
class ConsoleView:
    """``redirects`` go to files alone, ``tee`` to the console too; ``ranks`` are the local ranks shown.

    Where none of the three is given, local rank 0 is shown.
    """

    redirects: StreamChoice = StreamChoice()
    tee: StreamChoice = StreamChoice()
    ranks: frozenset[int] | None = None
    prefix: str | None = None  # None: `DEFAULT_PREFIX` where several ranks are shown

    @property
    def chosen(self) -> bool:
        """Whether the user said anything about it."""
        return bool(self.redirects or self.tee) or self.ranks is not None

    def shown(self, local_rank: int) -> int:
        """The streams of a rank that the console shows."""
        if not self.chosen:
            return BOTH if local_rank == 0 else 0
        if self.ranks is not None and local_rank not in self.ranks:
            return 0
        return (BOTH & ~self.redirects.of(local_rank)) | self.tee.of(local_rank)

    def template(self, local_ranks: Iterable[int]) -> str:
        """The prefix's template, '' for none."""
        if self.prefix is not None:
            return self.prefix
        return DEFAULT_PREFIX if sum(bool(self.shown(rank)) for rank in local_ranks) > 1 else ""

    def fill(self, template: str, **values: object) -> bytes:
        return Template(template).substitute(values).encode(errors="replace")
