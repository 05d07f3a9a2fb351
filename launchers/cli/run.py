"""``launcher [run] script.py``: from words on a command line to a finished job."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from launchers.platforms.environment import Environment, Fact
from launchers.platforms.placement import Placement, place
from launchers.platforms.presets import Presets
from launchers.platforms.script import Script
from ma_training.job import (
    Command,
    ConsoleView,
    JobSpec,
    LogNames,
    StreamChoice,
    Timeouts,
    Topology,
    make_job_id,
    make_name,
)

from .cluster import cluster_of, key_of
from .command import resolve_command
from .compat import compat_variables
from .errors import UsageError
from .settings import Settings, resolve
from .transfer_options import storage_variables, transfers_of


def main(words: Sequence[str], variables: Mapping[str, str] | None = None) -> int:
    """``variables``: for the workers, beside the user's own."""
    settings = resolve(words, os.environ, Path.cwd())
    if settings.script is None:
        raise UsageError("no script given", "write launcher [options] train.py [arguments]")
    command = resolve_command(settings)
    script = script_of(settings)
    environment = Environment(os.environ, settings.args)
    placement = place(settings, environment, script)
    presets = Presets(os.environ, settings["env"] or {}, placement.platform.contract.presets)
    job = build_job(settings, command, environment, placement)
    from launchers.frameworks.torch import Torch, TorchOptions

    starting = placement.starting
    own = {**starting.variables, **presets.variables(), **(variables or {})}
    compat, said = compat_variables(settings, {**os.environ, **own})
    options = TorchOptions(
        job.role,
        settings["bootstrap"],
        settings["virtual-local-rank"],
        {**storage_variables(os.environ), **own, **compat},
        starting.arguments,
    )
    framework = Torch(job.command, job.cwd, options, os.environ)
    transfers = transfers_of(settings, job, environment, placement)
    if settings["dry-run"]:
        from .plan import plan_json

        job_id = job.job_id or make_job_id(job.name, time.time())
        sys.stdout.write(plan_json(job, framework, job_id, transfers.to_record() if transfers else None))
        return 0
    from .job_precheck import JobPrecheck
    from .job_run import run_job

    key = key_of(settings, job.job_id or job.name)
    notes = [*placement.notes, *presets.warnings(script), *said]
    return run_job(job, framework, placement, key, notes, JobPrecheck(settings, placement), transfers)


def script_of(settings: Settings) -> Script:
    """What can be read of the script before it runs."""
    if settings.script is None or settings["no-python"]:
        return Script(arguments=settings.args)
    if settings["module"]:
        base = Path(*settings.script.split("."))
        found = next(
            (path for path in (base.with_suffix(".py"), base / "__main__.py") if path.exists()), None
        )
        return Script(found, settings.args)
    return Script(Path(settings.script), settings.args)


def max_restarts(settings: Settings, placement: Placement) -> Fact[int]:
    setting = settings.setting("max-restarts")
    wanted = placement.platform.contract.max_restarts
    if setting.origin == "default" and wanted is not None:
        return Fact(wanted, f"{placement.platform.title}'s contract")
    return Fact(setting.value, setting.origin)


def build_job(
    settings: Settings, command: Command, environment: Environment, placement: Placement
) -> JobSpec:
    """Everything checked that can be before a process is started. Raises UsageError."""
    try:
        timeouts = Timeouts(
            grace=settings["shutdown-timeout"],
            hang=settings["hang-timeout"],
            collective=settings["collective-timeout"],
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    if settings["log-dir"] and Path(settings["log-dir"]).exists() and not Path(settings["log-dir"]).is_dir():
        raise UsageError(f"--log-dir {settings['log-dir']} is not a directory")
    cwd = os.getcwd()
    topology = placement.topology
    return JobSpec(
        name=make_name(settings["name"] or _name_of(command)),
        command=command,
        topology=topology,
        cwd=cwd,
        run_base=Path(cwd, settings["run-dir"]),
        max_restarts=max_restarts(settings, placement).value,
        timeouts=timeouts,
        log_dir=Path(cwd, settings["log-dir"]) if settings["log-dir"] else None,
        cluster=cluster_of(settings, placement),
        log_names=_log_names(settings, environment, placement),
        console=_console(settings, topology),
        role=settings["role"],
        log_limit=settings["log-limit"],
        snapshot=settings["snapshot"],
        on_hang=settings["on-hang"],
        checkpoints=Path(cwd, settings["checkpoint-dir"]) if settings["checkpoint-dir"] else None,
        filters=(settings["duplicate-stdout-filters"] or (), settings["duplicate-stderr-filters"] or ()),
        job_id=make_name(placement.job_id) if placement.job_id else None,
        stop_signals=settings["signals-to-handle"],
        forward_signals=settings["signals-to-forward"],
    )


def _log_names(settings: Settings, environment: Environment, placement: Placement) -> LogNames | None:
    variable = placement.platform.contract.log_directory
    if not variable or settings["log-dir"]:
        return None
    task = environment.text("MA_TASK_NAME")
    directory = environment.text(variable)
    name = f"{task.value if task else 'worker'}-{placement.topology.node_rank}"
    return LogNames(make_name(name), Path(directory.value) if directory else None)


def _console(settings: Settings, topology: Topology) -> ConsoleView:
    none = StreamChoice()
    view = ConsoleView(
        redirects=settings["redirects"] or none,
        tee=settings["tee"] or none,
        ranks=settings["local-ranks-filter"],
        prefix=settings["log-prefix-template"],
    )
    named = {*(view.ranks or ()), *view.redirects.ranks, *view.tee.ranks}
    if beyond := sorted(named - set(range(topology.local_world_size))):
        ranks = ", ".join(map(str, beyond))
        raise UsageError(
            f"local rank {ranks} is named by --local-ranks-filter, --redirects or --tee, "
            f"but there are only ranks 0 to {topology.local_world_size - 1} on each node"
        )
    return view


def _name_of(command: Command) -> str:
    if command.kind == "module":
        return command.target.rpartition(".")[2]
    return Path(command.target).stem
