"""Who launches the workers: the launcher, the torchrun installed beside it, or nobody."""

import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchers.frameworks.torch import threads_per_worker

from .processes import Invocation

WORKERS = 2
WORKLOADS = Path(__file__).parent / "workloads"

# What would make a run differ from a user's: options from the environment, and no cached bytecode.
DROPPED = ("OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE")
DROPPED_PREFIXES = ("LAUNCHER_", "PET_", "TORCHELASTIC_", "TORCH_ELASTIC_")


@dataclass(frozen=True)
class Side:
    name: str
    program: tuple[str, ...]  # command and the options that it always gets; empty: by hand
    environ: Mapping[str, str] = field(default_factory=dict)

    def invocations(
        self, script: str, args: Iterable[object], options: Sequence[str] = ()
    ) -> list[Invocation]:
        words = [str(WORKLOADS / script), *map(str, args)]
        environ = {**user_environment(), **self.environ}
        if self.program:
            argv = [*self.program, "--nproc-per-node", str(WORKERS), *options, *words]
            return [Invocation(argv, environ)]
        common = {"WORLD_SIZE": str(WORKERS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        argv = [sys.executable, "-u", *words]  # unbuffered, as both launchers start theirs
        return [
            Invocation(argv, {**environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(WORKERS)
        ]


def _command(name: str) -> str:
    """Of this environment. The interpreter's path is not resolved: it may be a link out of it."""
    return str(Path(sys.executable).with_name(name))


SAME_THREADS = {"OMP_NUM_THREADS": str(threads_per_worker(WORKERS))}
OURS = Side("ours", (_command("launcher"),))
TORCHRUN = Side("torchrun", (_command("torchrun"), "--standalone"))
TORCHRUN_OWN_STORE = Side(
    "torchrun, store not shared", TORCHRUN.program, {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
)
# The launcher divides the cores by itself; the others are told to do the same.
TORCHRUN_SAME_THREADS = Side("torchrun", TORCHRUN.program, SAME_THREADS)
BY_HAND = Side("by hand", (), SAME_THREADS)


def user_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in DROPPED and not name.startswith(DROPPED_PREFIXES)
    }


def missing_commands() -> list[str]:
    return [program for side in (OURS, TORCHRUN) if not os.access(program := side.program[0], os.X_OK)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
