"""Object storage and folders behind one seam (store.py), and copying between them.

``open_store(url)`` gives a Store for obs://, s3://, file:// and plain paths. boto3 is imported when the first
bucket is opened, and none of its types leaves this package.
"""

from .archives import is_archive, unpack
from .credentials import Credentials
from .crew import give_back_memory
from .endpoints import Endpoint, find_endpoint, is_obs_host, worker_variables
from .engine import Task, Watching, copy_file, copy_tree, planned
from .errors import (
    BadKey,
    BadUrl,
    Changed,
    Damaged,
    Exists,
    LimitExceeded,
    NoCredentials,
    NoSpace,
    NotFound,
    Refused,
    StorageError,
    Unavailable,
)
from .journal import Journal, journal_path
from .keys import check_key, check_path
from .leftovers import Leftovers
from .limits import CODE_LIMITS, Limits, check_limits
from .opening import open_store
from .places import File, Tree, resolve
from .plan import Action, Compare, Copy, Delete, Keep, Record, Refuse, plan
from .progress import Progress
from .report import Report
from .room import FULL, Room, check_room, room_at
from .store import Entry, Reader, Store, Unfinished, Upload
from .url import Url

__all__ = [
    "CODE_LIMITS",
    "FULL",
    "Action",
    "BadKey",
    "BadUrl",
    "Changed",
    "Compare",
    "Copy",
    "Credentials",
    "Damaged",
    "Delete",
    "Endpoint",
    "Entry",
    "Exists",
    "File",
    "Journal",
    "Keep",
    "Leftovers",
    "LimitExceeded",
    "Limits",
    "NoCredentials",
    "NoSpace",
    "NotFound",
    "Progress",
    "Reader",
    "Record",
    "Refuse",
    "Refused",
    "Report",
    "Room",
    "StorageError",
    "Store",
    "Task",
    "Tree",
    "Unavailable",
    "Unfinished",
    "Upload",
    "Url",
    "Watching",
    "check_key",
    "check_limits",
    "check_path",
    "check_room",
    "copy_file",
    "copy_tree",
    "find_endpoint",
    "give_back_memory",
    "is_archive",
    "is_obs_host",
    "journal_path",
    "open_store",
    "plan",
    "planned",
    "resolve",
    "room_at",
    "unpack",
    "worker_variables",
]
