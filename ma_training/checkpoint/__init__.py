"""Training state on disk: written whole or not at all, checked before it is used."""

from .errors import CheckpointError, Mismatch, NotFinite
from .manifest import Cause, FileRecord, Manifest
from .reading import Loaded, load
from .safetensors_file import Leaf, TensorFile, open_file
from .store import BeingRead, CheckpointStore, Entry, Rejected, Removed, hold, is_name, read_entry, remove
from .verification import Fault, check_sizes, verify
from .writer import CheckpointState, RankState, write_checkpoint

__all__ = [
    "BeingRead",
    "Cause",
    "CheckpointError",
    "CheckpointState",
    "CheckpointStore",
    "Entry",
    "Fault",
    "FileRecord",
    "Leaf",
    "Loaded",
    "Manifest",
    "Mismatch",
    "NotFinite",
    "RankState",
    "Rejected",
    "Removed",
    "TensorFile",
    "check_sizes",
    "hold",
    "is_name",
    "load",
    "open_file",
    "read_entry",
    "remove",
    "verify",
    "write_checkpoint",
]
