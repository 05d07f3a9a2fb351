"""The job: everything the agent needs to know, resolved, before anything is started."""

from dataclasses import dataclass, field
from pathlib import Path

from .cluster import Cluster
from .command import Command
from .console_view import ConsoleView
from .log_names import LogNames
from .timeouts import Timeouts
from .topology import Topology


@dataclass(frozen=True, slots=True)
class JobSpec:
    name: str
    command: Command
    topology: Topology
    cwd: str
    run_base: Path
    max_restarts: int = 3
    timeouts: Timeouts = field(default_factory=Timeouts)
    cluster: Cluster | None = None  # None: one node, and no one else to ask
    log_dir: Path | None = None  # torchrun's layout of log files, at the user's wish
    log_names: LogNames | None = None  # a platform's own
    console: ConsoleView = field(default_factory=ConsoleView)
    role: str = "default"
    log_limit: int = 1 << 30  # bytes of one log
    snapshot: str = "auto"  # where training state is kept: auto, shm, disk or off
    checkpoints: Path | None = None  # where checkpoints are kept; None: beside the runs, by name
    on_hang: str = "restart"  # what is done about one: restart, dump, stop or warn; off: nobody looks
    filters: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # of stdout and stderr lines to be copied
    job_id: str | None = None  # given by the user or a scheduler; else name and time
    stop_signals: tuple[int, ...] = ()  # end the job
    forward_signals: tuple[int, ...] = ()  # reach the workers; the job goes on
