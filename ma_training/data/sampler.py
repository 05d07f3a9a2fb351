"""A batch sampler that knows what was consumed, and not only what was handed out."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any

from .order import order, share


class ResumableBatchSampler:
    """For ``DataLoader(dataset, batch_sampler=...)``: each sample of an epoch once, however often the job
    was interrupted, and at whatever world size it went on.

    ``cursor`` counts samples of the epoch's order that *all* ranks together have consumed. It moves by
    `committed` only: what a loader's workers have fetched ahead is lost with them. The last batch of an
    epoch may be smaller; where it has fewer samples than there are ranks, the idle ones repeat a sample
    (``repeated`` counts them), unless ``drop_last`` leaves that batch out.
    """

    def __init__(
        self,
        dataset: Sized | int,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        """``batch_size`` is a rank's. Rank and their number: torch.distributed's, or RANK and WORLD_SIZE."""
        self.samples = dataset if isinstance(dataset, int) else len(dataset)
        if batch_size < 1 or self.samples < 0:
            raise ValueError(f"batches of {batch_size} of {self.samples} samples: at least 1 of 0")
        self.batch_size, self.seed, self.shuffle, self.drop_last = batch_size, seed, shuffle, drop_last
        self._world, self._rank = num_replicas, rank
        self.epoch = self.cursor = self.repeated = 0
        self._order: tuple[int, Sequence[int]] | None = None
        # Called once when the next iteration hands out its first batch, when a loader has made itself ready.
        self.on_first_batch: Callable[[], None] | None = None

    def __iter__(self) -> Iterator[list[int]]:
        """This rank's batches from the cursor to the end of the epoch, as lists of indices."""
        self._begin()
        cursor, end, (rank, world) = self.cursor, self._end, self._place()
        while cursor < end:
            batch, idle = share(self._indices(), cursor, self.batch_size, world, rank)
            self.repeated += idle
            yield batch
            cursor = self._after(cursor)

    def __len__(self) -> int:
        """Batches in a whole epoch, at the present world size."""
        return (self.samples + (0 if self.drop_last else self._global_batch - 1)) // self._global_batch

    @property
    def finished(self) -> bool:
        """Whether all of this epoch has been consumed."""
        return self.cursor >= self._end

    def committed(self, batches: int = 1) -> None:
        """So many more batches, of each rank, have been trained on."""
        for _ in range(batches):
            self.cursor = self._after(self.cursor)

    def set_epoch(self, epoch: int) -> None:
        """Begins an epoch; goes on with it where it is the present one."""
        if epoch != self.epoch:
            self.epoch, self.cursor = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "cursor": self.cursor,
            "samples": self.samples,
            "seed": self.seed,
            "shuffle": self.shuffle,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError where the cursor would point into another order of samples."""
        for name in ("samples", "seed", "shuffle"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"{name} is {getattr(self, name)}, the state was made with {state[name]}: "
                    "its place in the epoch means nothing here"
                )
        self.epoch, self.cursor = state["epoch"], state["cursor"]

    @property
    def _global_batch(self) -> int:
        return self.batch_size * self._place()[1]

    @property
    def _end(self) -> int:
        """Where the epoch ends. A batch that would be smaller than the others may be left out."""
        if not self.drop_last:
            return self.samples
        # Counted from the cursor: after a change of world size the batches no longer begin at multiples.
        return self.cursor + (self.samples - self.cursor) // self._global_batch * self._global_batch

    def _after(self, cursor: int) -> int:
        return min(cursor + self._global_batch, self.samples)

    def _indices(self) -> Sequence[int]:
        if self._order is None or self._order[0] != self.epoch:
            self._order = (self.epoch, order(self.samples, self.seed, self.epoch, self.shuffle))
        return self._order[1]

    def _begin(self) -> None:
        hook, self.on_first_batch = self.on_first_batch, None
        if hook:
            hook()

    def _place(self) -> tuple[int, int]:
        """(rank, number of ranks)"""
        rank, world = self._rank, self._world
        torch = sys.modules.get("torch")
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            found = torch.distributed.get_rank(), torch.distributed.get_world_size()
        else:
            found = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        return found[0] if rank is None else rank, found[1] if world is None else world
