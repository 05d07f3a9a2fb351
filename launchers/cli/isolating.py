"""Keeping a node with a hardware fault away from new attempts, and what its scheduler is to be told."""

import shlex
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone

from ma_training.precheck import Job
from ma_training.precheck.after_failure import Decision
from ma_training.precheck.isolation import (
    ISOLATED_FOR,
    Isolation,
    IsolationError,
    boot_id,
    isolate,
    isolation,
    release,
)

TAINT = "ma-training/isolated"


def isolate_here(job: Job, decision: Decision, job_id: str) -> tuple[Isolation, str]:
    """Writes the record; returns it, and why it could not be written, or ''."""
    now = time.time()
    record = Isolation(job.node, boot_id(), decision.reason, decision.codes, job_id, now, now + ISOLATED_FOR)
    try:
        isolate(job.run_base, record)
    except IsolationError as error:
        return record, str(error)
    return record, ""


def isolated_here(job: Job) -> tuple[Isolation | None, str]:
    """What keeps this node away, and what is wrong with its record."""
    try:
        return isolation(job.run_base, job.node, boot_id(), time.time()), ""
    except IsolationError as error:
        return None, str(error)


def release_here(job: Job) -> int:
    try:
        there = release(job.run_base, job.node)
    except IsolationError as error:
        sys.stderr.write(f"launcher: error: {error}\n")
        return 1
    words = "is no longer kept away from" if there else "was not isolated"
    sys.stdout.write(f"{job.node} {words} ({job.run_base})\n")
    return 0


def until(record: Isolation) -> str:
    return datetime.fromtimestamp(record.until, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def commands(record: Isolation, environ: Mapping[str, str]) -> list[str]:
    """For whoever administers the nodes; none is run."""
    reason = " ".join((*record.codes, record.reason))[:200]
    if environ.get("SLURM_JOB_ID"):
        name = environ.get("SLURMD_NODENAME", record.node)
        return [f"scontrol update NodeName={shlex.quote(name)} State=DRAIN Reason={shlex.quote(reason)}"]
    if environ.get("KUBERNETES_SERVICE_HOST") or environ.get("MA_VJ_NAME"):
        node = shlex.quote(environ.get("NODE_NAME", "") or environ.get("MY_NODE_NAME", "") or "NODE")
        value = record.codes[0] if record.codes else "hardware"
        return [
            f"kubectl taint nodes {node} {TAINT}={value}:NoSchedule",
            f"kubectl annotate node {node} --overwrite {shlex.quote(f'{TAINT}-reason={reason}')} "
            f"{shlex.quote(f'{TAINT}-until={until(record)}')}",
        ]
    return []
