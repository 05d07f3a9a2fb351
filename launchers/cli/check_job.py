"""What the options and the platform say of a job, as checks want to know it."""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launchers.platforms.environment import Environment
from launchers.platforms.placement import Placement
from ma_training.precheck import Job, LimitError, Limits, parse_limits
from ma_training.precheck.isolation import node_name

from .errors import UsageError
from .settings import Settings

_CARDS = ("MA_NUM_GPUS", "SLURM_GPUS_ON_NODE")
_MINDSPORE = ("msrun", "ascend")  # engines


def job_of(
    settings: Settings, placement: Placement, environ: Mapping[str, str], writes: Sequence[str] = ()
) -> Job:
    topology = placement.topology
    environment = Environment(environ)
    cards = next((fact for name in _CARDS if (fact := _whole(environment, name))), None)
    explicit = "RDZV_ENDPOINT" in placement.endpoint or placement.endpoint == "--rdzv-endpoint"
    hosts = placement.facts.get("hosts")
    base = Path(os.getcwd(), settings["run-dir"])
    return Job(
        nproc=topology.nproc_per_node,
        nnodes=topology.nnodes,
        node=node_name(environ, socket.gethostname()),
        master=(topology.master_addr, topology.master_port),
        # A coordinator may have the port of an endpoint, and the leader be another process of this machine.
        leads=placement.ranked and topology.node_rank == 0 and not explicit,
        hosts=tuple(hosts.value) if hosts else (),
        cards=cards,
        framework="mindspore" if placement.starting.engine.value in _MINDSPORE else "torch",
        platform=placement.name,
        run_base=base,
        writes=(*_outputs(settings, placement), *writes),
    )


def _whole(environment: Environment, name: str) -> int | None:
    try:
        fact = environment.whole(name)
    except UsageError:  # Slurm may write "gpu:a100:8"
        return None
    return fact.value if fact and fact.value else None


def _outputs(settings: Settings, placement: Placement) -> list[str]:
    checkpoints = settings["checkpoint-dir"]
    return [*map(str, placement.starting.outputs), *([checkpoints] if checkpoints else [])]


def limits_of(settings: Settings, words: Sequence[str] = ()) -> Limits:
    """Raises UsageError for a threshold that does not parse."""
    text: Any = settings["precheck-limits"] or ""
    listed = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return parse_limits([*listed, *words])
    except LimitError as error:
        raise UsageError(str(error), error.hint) from None
