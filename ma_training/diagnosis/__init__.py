"""What went wrong, and with whom it began."""

from .attribution import root_cause, root_cause_of_nodes
from .catalogue import Diagnosis, Evidence, diagnose, load_catalogue
from .error_file import read_error_file
from .failure import WorkerFailure, is_consequence
from .kernel_log import kernel_lines
from .oom import OomCounters

__all__ = [
    "Diagnosis",
    "Evidence",
    "OomCounters",
    "WorkerFailure",
    "diagnose",
    "is_consequence",
    "kernel_lines",
    "load_catalogue",
    "read_error_file",
    "root_cause",
    "root_cause_of_nodes",
]
