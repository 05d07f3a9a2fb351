"""Object storage and folders behind one seam (store.py), and copying between them.

``open_store(url)`` gives a Store for obs://, s3://, file:// and plain paths. boto3 is imported when the first
bucket is opened, and none of its types leaves this package.
"""

from .credentials import Credentials
from .endpoints import Endpoint, find_endpoint, is_obs_host, worker_variables
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
from .keys import check_key, check_path
from .opening import open_store
from .store import Entry, Reader, Store, Unfinished, Upload
from .url import Url

__all__ = [
    "BadKey",
    "BadUrl",
    "Changed",
    "Credentials",
    "Damaged",
    "Endpoint",
    "Entry",
    "Exists",
    "LimitExceeded",
    "NoCredentials",
    "NoSpace",
    "NotFound",
    "Reader",
    "Refused",
    "StorageError",
    "Store",
    "Unavailable",
    "Unfinished",
    "Upload",
    "Url",
    "check_key",
    "check_path",
    "find_endpoint",
    "is_obs_host",
    "open_store",
    "worker_variables",
]
