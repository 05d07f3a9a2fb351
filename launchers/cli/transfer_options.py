"""Options about object storage, put together: what is to be copied for a job."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from launchers.platforms.environment import Environment
from launchers.platforms.placement import Placement
from ma_training.job import JobSpec
from ma_training.keeper.plan import identity_of

from .errors import UsageError
from .settings import Settings
from .values import split_input, split_output

if TYPE_CHECKING:
    from ma_training.transfer import Input, Output, TransferPlan

ENDPOINTS = ("S3_ENDPOINT", "S3_ENDPOINT_URL", "OBS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
OPTIONS = ("input", "output", "checkpoint-url", "log-url", "sync")


def checkpoints_of(job: JobSpec) -> Path:
    return job.checkpoints or job.run_base / "checkpoints" / job.name


def storage_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """For the workers: their own boto3 is to work with the endpoint that is set."""
    if not any(environ.get(name) for name in ENDPOINTS):
        return {}
    from ma_training.storage import worker_variables  # its imports take 30 ms

    return worker_variables(environ)


def transfers_of(
    settings: Settings, job: JobSpec, environment: Environment, placement: Placement
) -> "TransferPlan | None":
    """None where nothing is to be copied. Raises UsageError."""
    if not any(settings[name] for name in OPTIONS):
        return None
    from ma_training.transfer import TransferPlan
    from ma_training.transfer.plan import checkpoint_url_of

    checkpoints, outputs = checkpoints_of(job), _outputs(settings, job, placement)
    given = _checked("--checkpoint-url", settings["checkpoint-url"]) if settings["checkpoint-url"] else ""
    url = checkpoint_url_of(checkpoints, outputs, given)
    plan = TransferPlan(
        inputs=_inputs(settings, job, placement, environment),
        outputs=outputs,
        checkpoints=str(checkpoints),
        checkpoint_url=url,
        log_url=_checked("--log-url", settings["log-url"]) if settings["log-url"] else "",
        # On another machine the directory may be another one; the place in storage is the same.
        identity=f"{job.name} {url}" if url else identity_of(job.name, checkpoints),
        name=job.job_id or job.name,
        unique=job.job_id is not None,
        joins=job.cluster is not None and not job.cluster.leads,
    )
    return plan if plan else None


def _inputs(
    settings: Settings, job: JobSpec, placement: Placement, environment: Environment
) -> "tuple[Input, ...]":
    """None for a parameter server, which reads no samples."""
    from ma_training.transfer import Input

    task = environment.text("MA_TASK_NAME")
    if task and task.value == "ps":
        return ()
    given = [split_input(text) for text in settings["input"] or ()]
    if settings["sync"]:
        given += [(url, local) for local, url in placement.starting.remote_inputs]
    wanted = [Input(_checked("--input", url), str(Path(job.cwd, local))) for url, local in given]
    _check_once("--input", [one.directory for one in wanted])
    return tuple(wanted)


def _outputs(settings: Settings, job: JobSpec, placement: Placement) -> "tuple[Output, ...]":
    from ma_training.transfer import Output

    given = [split_output(text) for text in settings["output"] or ()]
    if settings["sync"]:
        given += list(placement.starting.remote_outputs)
    wanted = [Output(str(Path(job.cwd, local)), _checked("--output", url)) for local, url in given]
    _check_once("--output", [one.directory for one in wanted])
    _check_once("--output", [one.url for one in wanted])
    return tuple(wanted)


def _checked(option: str, url: str) -> str:
    from ma_training.storage import BadUrl, Url

    try:
        return str(Url.parse(url)).rstrip("/")
    except BadUrl as error:
        raise UsageError(f"{option}: {error.message}", error.hint) from None


def _check_once(option: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(f"{option} names {name} twice", "give each its own place")
