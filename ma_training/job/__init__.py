"""Ground floor: what a job is. Plain data and protocols, no IO beyond making the run directory."""

from .cluster import Cluster
from .command import Command
from .console_view import DEFAULT_PREFIX, STDERR, STDOUT, ConsoleView, StreamChoice, parse_prefix
from .durations import format_duration, parse_duration
from .exit_codes import ExitCode, describe_status, exit_code_of, signal_name
from .framework import Attempt, Framework, WorkerSpec
from .identity import make_job_id, make_name
from .log_names import LogNames
from .run_directory import RunDirectory, RunDirectoryError
from .sizes import format_size, parse_size
from .spec import JobSpec
from .timeouts import Timeouts
from .topology import Topology

__all__ = [
    "DEFAULT_PREFIX",
    "STDERR",
    "STDOUT",
    "Attempt",
    "Cluster",
    "Command",
    "ConsoleView",
    "ExitCode",
    "Framework",
    "JobSpec",
    "LogNames",
    "RunDirectory",
    "RunDirectoryError",
    "StreamChoice",
    "Timeouts",
    "Topology",
    "WorkerSpec",
    "describe_status",
    "exit_code_of",
    "format_duration",
    "format_size",
    "make_job_id",
    "make_name",
    "parse_duration",
    "parse_prefix",
    "parse_size",
    "signal_name",
]
