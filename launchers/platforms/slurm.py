"""Slurm: srun starts a launcher for each task; one task a node is usual, several are possible."""

import re

from launchers.cli.errors import UsageError

from .base import Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact
from .hostlist import expand
from .ports import port_from

INTERACTIVE = "4294967290"  # the step in which salloc's shell runs, on the first node only


class Slurm(Platform):
    title = "Slurm"

    def discover(self, environment: Environment) -> Discovery:
        job = environment.text("SLURM_JOB_ID", "SLURM_JOBID")
        nodes = environment.whole("SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES", least=1)
        names = environment.text("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
        hosts = Fact(expand(names.value, names.origin), names.origin) if names else None
        if nodes and hosts and len(hosts.value) != nodes.value:
            raise UsageError(
                f"{nodes.origin} says {nodes.value} nodes, but {hosts.origin} ({names and names.value}) "
                f"names {len(hosts.value)}",
                HINT,
            )
        array = environment.text("SLURM_ARRAY_JOB_ID")
        found = Discovery(job_id=job)
        if array and (task := environment.text("SLURM_ARRAY_TASK_ID")):
            found.job_id = Fact(f"{array.value}_{task.value}", array.origin)
        found.workers = environment.whole("SLURM_GPUS_ON_NODE", least=1)
        if environment.variables.get("SLURM_STEP_ID", "") in ("", INTERACTIVE):
            nodes = environment.whole("SLURM_JOB_NUM_NODES", "SLURM_NNODES", least=1)
            return self._outside_a_step(found, nodes)
        tasks = environment.whole("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS", least=1)
        rank, local = environment.whole("SLURM_PROCID"), environment.whole("SLURM_LOCALID")
        if tasks is None or rank is None:
            raise UsageError("SLURM_PROCID and SLURM_NTASKS are not both set", HINT)
        node_id = environment.whole("SLURM_NODEID")
        if node_id and nodes and node_id.value >= nodes.value:
            raise UsageError(
                f"{node_id.origin} is {node_id.value}, but {nodes.origin} is {nodes.value}", HINT
            )
        found.nnodes, found.node_rank = tasks, rank
        per_node = self._tasks_here(environment, node_id)
        found.beside = (local.value if local else 0, per_node)
        if nodes and node_id and nodes.value == tasks.value:
            found.nnodes, found.node_rank = nodes, node_id
        elif nodes and tasks.value > nodes.value:
            found.workers = Fact(1, f"{tasks.origin}: a task for each worker")
        if tasks.value > 1 and hosts:
            given = environment.text("MASTER_ADDR")
            found.master_addr = given or Fact(hosts.value[0], f"first of {hosts.origin}")
            if job:
                found.master_port = environment.whole("MASTER_PORT", least=1) or Fact(
                    port_from(job.value + environment.variables["SLURM_STEP_ID"]), f"from {job.origin}"
                )
        return found

    def _outside_a_step(self, found: Discovery, nodes: Fact[int] | None) -> Discovery:
        """A batch script or salloc's shell: what runs here runs once, on the first node."""
        if nodes and nodes.value > 1:
            raise UsageError(
                f"{nodes.origin} says {nodes.value} nodes, but this is not a step of srun: "
                "it runs on one of them only",
                "write srun launcher ... (one task a node), or --platform local to use this node alone",
            )
        return found

    def _tasks_here(self, environment: Environment, node_id: Fact[int] | None) -> int:
        layout = environment.text("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
        if layout is None:
            return 1
        counts: list[int] = []
        for part in layout.value.split(","):
            match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
            if match is None:
                raise UsageError(
                    f"{layout.origin} is {layout.value!r}, in which {part!r} is not COUNT or COUNT(xNODES)",
                    HINT,
                )
            counts += [int(match[1])] * int(match[2] or 1)
        here = node_id.value if node_id else 0
        if here >= len(counts):
            raise UsageError(
                f"SLURM_NODEID is {here}, but {layout.origin} ({layout.value}) counts {len(counts)} nodes",
                HINT,
            )
        return max(1, counts[here])
