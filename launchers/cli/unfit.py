"""The end of a job on a node that its precheck found unfit: before anything was started."""

import json
import time

from launchers.platforms.placement import Placement
from ma_training.events import EventLog, RunFiles
from ma_training.job import ExitCode, JobSpec, RunDirectory, RunDirectoryError, make_job_id, make_name

from .job_precheck import JobPrecheck, PrecheckFailed
from .speaker import Speaker

WRITTEN_WITHIN = 10.0  # seconds


def end_unfit(
    job: JobSpec, placement: Placement, precheck: JobPrecheck, failed: PrecheckFailed, speaker: Speaker
) -> int:
    """Says and records it; returns the exit code, of the platform's own where it has one."""
    if placement.platform.contract.service_lines:
        speaker.print("".join(f"{line}\n" for line in precheck.lines()))
    speaker.say(str(failed))
    job_id = job.job_id or make_job_id(job.name, time.time())
    if job.cluster is not None:  # the others, with whom it may share a disk, go on under that name
        job_id = make_name(f"{job_id}-unfit-{job.topology.node_name}")
    code = placement.platform.contract.exit_code(ExitCode.PRECHECK_FAILED)
    try:
        run = RunDirectory.create(job.run_base, job_id)
    except RunDirectoryError as error:  # that may be what is wrong with this node
        speaker.say(f"{error}; nothing of this is recorded")
        return code
    files = RunFiles(speaker.say)
    name = job.topology.node_name
    events = EventLog(run.job_id, name, lambda line: files.append(run.events(name), line))
    precheck.emit(events)
    events.emit("job.ended", outcome="failed", exit_code=int(ExitCode.PRECHECK_FAILED), restarts=0)
    files.replace(run.result, _result(run.job_id, job.name, str(failed)))
    files.close(WRITTEN_WITHIN)
    return code


def _result(job_id: str, name: str, reason: str) -> str:
    now = time.time()
    record = {
        "v": 1,
        "job": job_id,
        "name": name,
        "outcome": "failed",
        "exit_code": int(ExitCode.PRECHECK_FAILED),
        "reason": reason,
        "restarts": 0,
        "started": now,
        "ended": now,
        "checkpoint": None,
        "attempts": [],
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
