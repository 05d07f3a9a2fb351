"""PyTorch: the environment that ``init_process_group()`` reads.

Rank 0's worker serves the rendezvous store, on a port that the agent has kept free for it. It is a
new one for each attempt: torchrun's agent serves one store for all of them, without a prefix, and
workers of a second attempt read addresses of the first (docs/decisions/0002).
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ma_training.agent
from ma_training.job import Attempt, Command, WorkerSpec

BOOTSTRAP = str(Path(ma_training.agent.__file__).with_name("bootstrap.py"))
FLIGHT_RECORDS = 2000  # collectives that PyTorch's flight recorder remembers


@dataclass(frozen=True, slots=True)
class TorchOptions:
    role: str = "default"
    bootstrap: bool = True
    virtual_local_rank: bool = False  # LOCAL_RANK 0 and one visible GPU for each
    variables: Mapping[str, str] = field(default_factory=dict)  # for every worker, before what is set here
    arguments: Callable[[Attempt], Sequence[str]] = lambda attempt: ()  # of the platform, for the script


class Torch:
    name = "torch"

    def __init__(self, command: Command, cwd: str, options: TorchOptions, environ: Mapping[str, str]) -> None:
        self._command, self._cwd, self._options, self._environ = command, cwd, options, environ
        self._bootstrap = options.bootstrap and command.is_python

    def workers(self, attempt: Attempt) -> Sequence[WorkerSpec]:
        topology = attempt.topology
        return [
            WorkerSpec(
                rank=topology.first_rank + index,
                local_rank=topology.first_local_rank + index,
                argv=self._argv(attempt, topology.first_local_rank + index),
                env=self._env(attempt, index),
                cwd=self._cwd,
                bootstrapped=self._bootstrap,
            )
            for index in range(topology.nproc_per_node)
        ]

    def _argv(self, attempt: Attempt, local_rank: int) -> tuple[str, ...]:
        command = self._command
        # torchrun's one macro in a script's arguments.
        args = [arg.replace("${local_rank}", str(local_rank)) for arg in command.args]
        args += self._options.arguments(attempt)
        if not command.is_python:
            return command.target, *args
        python = (self._environ.get("PYTHON_EXEC") or sys.executable, "-u")
        if self._bootstrap:
            return *python, BOOTSTRAP, command.kind, command.target, *args
        module = ("-m",) if command.kind == "module" else ()
        return *python, *module, command.target, *args

    def _env(self, attempt: Attempt, index: int) -> dict[str, str]:
        topology = attempt.topology
        rank, world_size = topology.first_rank + index, topology.world_size
        local_rank = topology.first_local_rank + index
        env = {
            "RANK": rank,
            "LOCAL_RANK": local_rank,
            "WORLD_SIZE": world_size,
            "LOCAL_WORLD_SIZE": topology.local_world_size,
            "GROUP_RANK": topology.node_rank,
            "GROUP_WORLD_SIZE": topology.nnodes,
            "ROLE_NAME": self._options.role,
            "ROLE_RANK": rank,
            "ROLE_WORLD_SIZE": world_size,
            "MASTER_ADDR": topology.master_addr,
            "MASTER_PORT": attempt.master_port,
            "TORCHELASTIC_RESTART_COUNT": attempt.index,
            "TORCHELASTIC_MAX_RESTARTS": attempt.max_restarts,
            "TORCHELASTIC_RUN_ID": attempt.job_id,
            # True without a store at that address times every rank out.
            "TORCHELASTIC_USE_AGENT_STORE": False,
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": self._environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"),
            "LAUNCHER_WORKER_JOB": attempt.job_id,
            "LAUNCHER_WORKER_ATTEMPT": attempt.index,
            "LAUNCHER_WORKER_RANK": rank,
        }
        if "OMP_NUM_THREADS" not in self._environ and topology.local_world_size > 1:
            env["OMP_NUM_THREADS"] = threads_per_worker(topology.local_world_size)
        if topology.world_size > 1 and not {"TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE"} & set(
            self._environ
        ):
            env["TORCH_FR_BUFFER_SIZE"] = FLIGHT_RECORDS
        env |= self._options.variables
        if self._options.virtual_local_rank:
            env |= {"LOCAL_RANK": 0, "CUDA_VISIBLE_DEVICES": self._own_gpu(local_rank)}
        return {name: str(value) for name, value in env.items()}

    def _own_gpu(self, local_rank: int) -> str:
        visible = self._environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            return str(local_rank)
        entries = [entry.strip() for entry in visible.split(",")]
        return entries[local_rank] if local_rank < len(entries) else ""


def threads_per_worker(workers: int) -> int:
    """Cores that this process may use, divided fairly; torchrun takes 1 whatever the machine has."""
    return max(1, len(os.sched_getaffinity(0)) // workers)
