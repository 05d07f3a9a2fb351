"""What the ranks tell each other while a state is restored: numbers and bytes, nothing pickled."""

import sys
from collections.abc import Sequence
from typing import Any

_PIECE = 64 << 20  # bytes sent at once


class Group:
    """torch.distributed's default group."""

    def __init__(self, distributed: Any) -> None:
        import torch

        self._torch, self._distributed = torch, distributed
        self._device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        self.rank: int = distributed.get_rank()
        self.size: int = distributed.get_world_size()

    def gather(self, numbers: Sequence[int]) -> list[list[int]]:
        """Everybody's, by rank. All give equally many."""
        mine = self._torch.tensor(list(numbers), dtype=self._torch.int64, device=self._device)
        found = [self._torch.empty_like(mine) for _ in range(self.size)]
        self._distributed.all_gather(found, mine)
        return [one.tolist() for one in found]

    def spread(self, data: bytes | memoryview, source: int) -> memoryview:
        """``data`` of the rank ``source``; what the others give does not matter."""
        (size,) = self.gather([len(data)])[source]
        received = memoryview(bytearray(size))
        for start in range(0, size, _PIECE):
            piece = received[start : start + _PIECE]
            if self.rank == source:
                piece[:] = data[start : start + _PIECE]
            self._send(piece, source)
        return received

    def barrier(self) -> None:
        self.gather([0])

    def _send(self, piece: memoryview, source: int) -> None:
        tensor = self._torch.frombuffer(piece, dtype=self._torch.uint8)
        sent = tensor.to(self._device)
        self._distributed.broadcast(sent, source)
        tensor.copy_(sent)


def group() -> Group | None:
    """None where there is no process group, or one of this rank alone."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return None
    return Group(torch.distributed) if torch.distributed.get_world_size() > 1 else None
