"""The resolved plan: ``--dry-run`` prints it, ``plan.json`` keeps it. No inherited variable is in it."""

import json
from collections.abc import Mapping
from typing import Any

from launchers.platforms.presets import masked
from ma_training.job import Attempt, Framework, JobSpec, signal_name

VERSION = 1


def plan_json(
    job: JobSpec, framework: Framework, job_id: str, transfers: Mapping[str, Any] | None = None
) -> str:
    topology = job.topology
    attempt = Attempt(0, job_id, topology, topology.master_port or 0, job.max_restarts)
    plan: dict[str, Any] = {
        "v": VERSION,
        "job": job_id,
        "name": job.name,
        "framework": framework.name,
        "cwd": job.cwd,
        "run_directory": str(job.run_base / job_id),
        "topology": {
            "nnodes": topology.nnodes,
            "node_rank": topology.node_rank,
            "nproc_per_node": topology.nproc_per_node,
            "world_size": topology.world_size,
            "master_addr": topology.master_addr,
            "master_port": topology.master_port,  # null: a free one for each attempt
        },
        "max_restarts": job.max_restarts,
        "shutdown_timeout_s": job.timeouts.grace,
        "stop_signals": [signal_name(number) for number in job.stop_signals],
        "forward_signals": [signal_name(number) for number in job.forward_signals],
        "transfers": transfers,  # null: nothing is copied
        "workers": [
            {"rank": spec.rank, "argv": list(spec.argv), "env": masked(spec.env)}
            for spec in framework.workers(attempt)
        ],
    }
    return json.dumps(plan, indent=2, ensure_ascii=False) + "\n"
