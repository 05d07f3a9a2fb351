"""``mox.file``: files and directories, local ones and those in object storage, by the same calls."""

from .auth import set_auth
from .changing import make_dirs, mk_dir, remove, rename
from .copying import copy, copy_parallel
from .exceptions import (
    MoxFileNameDuplicateException,
    MoxFileNotExistsException,
    MoxFileReadException,
    MoxFileRespException,
)
from .file_object import File
from .globbing import glob
from .looking import exists, get_size, is_directory, list_directory, scan_dir, stat, walk
from .manifest import copy_manifest
from .shifting import shift
from .syncing import background_sync_copy
from .whole import append, append_remote, read, write

__all__ = [
    "File",
    "MoxFileNameDuplicateException",
    "MoxFileNotExistsException",
    "MoxFileReadException",
    "MoxFileRespException",
    "append",
    "append_remote",
    "background_sync_copy",
    "copy",
    "copy_manifest",
    "copy_parallel",
    "exists",
    "get_size",
    "glob",
    "is_directory",
    "list_directory",
    "make_dirs",
    "mk_dir",
    "read",
    "remove",
    "rename",
    "scan_dir",
    "set_auth",
    "shift",
    "stat",
    "walk",
    "write",
]
