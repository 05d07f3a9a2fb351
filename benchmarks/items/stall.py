"""How long training stands still for a copy of its state, and how long it takes to have it back.

Run as ``python -m benchmarks.items.stall SIDE CASE OUT DIRECTORY`` it is one side's process for one round:
it writes the median over its repetitions, in seconds, to OUT.
"""

import atexit
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

MB = 10**6
WARM = 3  # repetitions that are not counted: memory is touched, files are made


@dataclass(frozen=True)
class Case:
    name: str
    tensors: int
    bytes: int  # of each
    repetitions: int

    @property
    def total(self) -> int:
        return self.tensors * self.bytes


CASES = {
    case.name: case
    for case in (
        Case("10 MB", 4, 5 * MB // 2, 40),
        Case("250 MB", 25, 10 * MB, 12),
        Case("1 GB", 100, 10 * MB, 6),
        Case("5,000 x 16 KB", 5000, 16384, 20),
    )
}
Action = Callable[[], object]


def make_model(case: Case) -> Any:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Module()
    for number in range(case.tensors):
        model.register_parameter(f"p{number}", torch.nn.Parameter(torch.randn(case.bytes // 4)))
    return model


def step(model: Any) -> None:
    """What training does between two copies: every parameter is another one."""
    import torch

    with torch.no_grad():
        torch._foreach_mul_(list(model.parameters()), 1.0001)


# --- the sides: each gives what is timed, and what is to be done after it ---


def memcpy(case: Case, model: Any, root: Path) -> tuple[Action, Action]:
    """The limit: one block of as many bytes, into memory that is there."""
    import numpy

    source = numpy.ones(case.total, dtype=numpy.uint8)
    target = numpy.zeros_like(source)

    def change() -> None:
        numpy.add(source, 1, out=source)

    return lambda: numpy.copyto(target, source), change


def turns(case: Case, model: Any, root: Path) -> tuple[Action, Action]:
    """The limit of what survives a kill: the newest copy is never written over, so places take turns, and
    none of them is in a processor's cache when its turn has come."""
    import numpy

    source = numpy.ones(case.total, dtype=numpy.uint8)
    targets = cycle([numpy.zeros_like(source) for _ in range(3)])

    def change() -> None:
        numpy.add(source, 1, out=source)

    return lambda: numpy.copyto(next(targets), source), change


def commit(case: Case, model: Any, root: Path) -> tuple[Action, Action]:
    from ma_training import TrainingState

    state = TrainingState(model=model, name=str(root))
    return state.commit, lambda: None


def torch_save(case: Case, model: Any, root: Path) -> tuple[Action, Action]:
    import torch

    path = Path("/dev/shm") / f"bench-snapshot-{os.getpid()}.pt"
    return lambda: torch.save(model.state_dict(), path), lambda: path.unlink(missing_ok=True)


def async_save(case: Case, model: Any, root: Path) -> tuple[Action, Action]:
    """Until it returns; the writing goes on, and is waited for outside of what is timed."""
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    saving: list[Any] = []
    path = str(root / "dcp")

    def save() -> None:
        saving.append(dcp.async_save(model.state_dict(), checkpoint_id=path))

    return save, lambda: saving.pop().result()


def dlrover(case: Case, model: Any, root: Path) -> tuple[Action, Action]:
    """What its flash checkpoint does in the worker: the state into its shared memory."""
    os.environ["DLROVER_LOG_LEVEL"] = "ERROR"
    from dlrover.python.elastic_agent.torch.ckpt_saver import (
        DLROVER_CKPT_CONFIG_KEY,
        CheckpointConfig,
        SharedMemoryHandler,
    )

    handler = SharedMemoryHandler(0, host=True)
    steps = iter(range(1, 1 << 30))

    def save() -> None:
        config = CheckpointConfig(step=next(steps), rank=0)
        handler.save_state_dict({"model": model.state_dict(), DLROVER_CKPT_CONFIG_KEY: config})

    atexit.register(handler.unlink)
    return save, lambda: None


RESTARTS = 3  # a round: each is a process that imports PyTorch


def restores(case: Case, root: Path) -> list[float]:
    """What restarted workers wait for, in seconds, under an agent: see `restored`."""
    from ma_training.snapshot import JobDirectory, default_root, job_key

    directory = JobDirectory(default_root(), job_key(str(root)))
    directory.acquire(str(root))
    environ = os.environ | {
        "LAUNCHER_WORKER_SNAPSHOTS": str(directory.path),
        "LAUNCHER_WORKER_CHECKPOINTS": str(root / "checkpoints"),
        "LAUNCHER_WORKER_IDENTITY": "benchmark",
        "LAUNCHER_WORKER_RESUME_STEP": "1",
    }
    try:
        _worker(case, root, environ, "leave")
        return [_worker(case, root, environ, "restored") for _ in range(RESTARTS)]
    finally:
        directory.remove()


def _worker(case: Case, root: Path, environ: dict[str, str], what: str) -> float:
    out = root / what
    words = [sys.executable, "-m", "benchmarks.items.stall", what, case.name, str(out), str(root)]
    assert subprocess.run(words, env=environ, check=False).returncode == -signal.SIGKILL
    return float(out.read_text())


def leave(model: Any) -> float:
    from ma_training import TrainingState

    TrainingState(model=model).commit()
    return 0.0


def restored(model: Any) -> float:
    """TrainingState() and restore(), of what a process that was killed has left, in one that has imported all
    that a script does, and has touched the memory of its model."""
    import ma_training.data  # noqa: F401
    from ma_training import TrainingState

    step(model)
    begun = time.perf_counter()
    found = TrainingState(model=model).restore()
    seconds = time.perf_counter() - begun
    assert found is not None and found.source == "memory", found
    return seconds


WORKERS = {"leave": leave, "restored": restored}
SIDES = {
    "memcpy": memcpy,
    "turns": turns,
    "commit": commit,
    "torch.save": torch_save,
    "async_save": async_save,
    "dlrover": dlrover,
}


def main() -> None:
    side, case, out, root = sys.argv[1], CASES[sys.argv[2]], Path(sys.argv[3]), Path(sys.argv[4])
    root.mkdir(parents=True, exist_ok=True)
    if side in WORKERS:
        out.write_text(repr(WORKERS[side](make_model(case))))
        os.kill(os.getpid(), signal.SIGKILL)
    took = restores(case, root) if side == "restore" else _stalls(side, case, root)
    out.write_text(f"{statistics.median(took)}\n")


def _stalls(side: str, case: Case, root: Path) -> list[float]:
    model, took = make_model(case), []
    action, after = SIDES[side](case, model, root)
    for number in range(WARM + case.repetitions):
        step(model)
        begun = time.perf_counter()
        action()
        seconds = time.perf_counter() - begun
        after()
        if number >= WARM:
            took.append(seconds)
    return took


if __name__ == "__main__":
    main()
