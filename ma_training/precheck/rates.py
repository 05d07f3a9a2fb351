"""Short measurements of this node, in a process of its own: numpy or torch may hang in a driver.

Prints one line of JSON: {"matmul": GFLOP/s, ...} for the names it is given. Rates mean something
beside those of other nodes of the same kind only.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

SECONDS = 0.5  # each is repeated until then; the best counts, for others use the machine too


def _best(once: Callable[[], float], clock: Callable[[], float] = time.perf_counter) -> float:
    """The highest rate that ``once`` returned."""
    once()  # warms caches and threads
    best, until = 0.0, clock() + SECONDS
    while clock() < until:
        best = max(best, once())
    return best


def matmul() -> float | None:
    """GFLOP/s of the first GPU or NPU, else of the CPUs."""
    try:
        import torch
    except ImportError:
        return _numpy_matmul()
    device = _device(torch)
    size = 4096 if device.type != "cpu" else 768
    kind = torch.bfloat16 if device.type != "cpu" else torch.float32
    one = torch.randn(size, size, device=device, dtype=kind)

    def once() -> float:
        began = time.perf_counter()
        float((one @ one)[0, 0])  # waits for the device
        return 2 * size**3 / (time.perf_counter() - began) / 1e9

    return _best(once)


def _device(torch: Any) -> Any:
    if torch.cuda.is_available():
        return torch.device("cuda:0")
    if getattr(torch, "npu", None) is not None and torch.npu.is_available():
        return torch.device("npu:0")
    return torch.device("cpu")


def _numpy_matmul() -> float | None:
    try:
        import numpy
    except ImportError:
        return None
    size = 768
    one = numpy.random.default_rng(0).random((size, size), dtype=numpy.float32)

    def once() -> float:
        began = time.perf_counter()
        one @ one
        return 2 * size**3 / (time.perf_counter() - began) / 1e9

    return _best(once)


def memory() -> float | None:
    """GB/s of a copy by one core, read and written counted."""
    source = bytearray(64 << 20)
    target = memoryview(bytearray(len(source)))

    def once() -> float:
        began = time.perf_counter()
        target[:] = source
        return 2 * len(source) / (time.perf_counter() - began) / 1e9

    return _best(once)


def disk(directory: str) -> float | None:
    """MB/s of a written and flushed file in ``directory``."""
    import os
    import tempfile

    block, blocks = os.urandom(1 << 20), 64
    with tempfile.TemporaryFile(dir=directory) as file:
        began = time.perf_counter()
        for _ in range(blocks):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return blocks * len(block) / (time.perf_counter() - began) / 1e6


def main(words: list[str]) -> None:
    name, *rest = words
    measure: dict[str, Callable[..., float | None]] = {"matmul": matmul, "memory": memory, "disk": disk}
    rate = measure[name](*rest)
    print(json.dumps({name: rate}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
