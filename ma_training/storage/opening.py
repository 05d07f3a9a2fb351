"""Finds the Store of a URL."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from .credentials import Credentials, find_credentials
from .directory import DirectoryStore
from .endpoints import Endpoint, find_endpoint, without_bucket
from .errors import StorageError
from .store import Store
from .url import Url


def open_store(
    url: "str | os.PathLike[str] | Url",
    environ: Mapping[str, str] = os.environ,
    endpoint: Endpoint | None = None,
    credentials: Credentials | None = None,
    skipped: Callable[[str, str], None] | None = None,
) -> Store:
    """The store whose root is ``url``, taken for a directory. Nothing is asked of any server yet.

    Endpoint and credentials come from ``environ``, but for what is given. ``skipped(key, why)`` is told what
    listings of a folder leave out. Raises BadUrl, NoCredentials.
    """
    found = Url.parse(url)
    if found.is_local:
        return DirectoryStore(found, skipped) if skipped else DirectoryStore(found)
    endpoint = endpoint or find_endpoint(found.scheme, environ)
    endpoint = replace(endpoint, url=without_bucket(endpoint.url, found.bucket))
    credentials = credentials or find_credentials(found.scheme, environ)
    try:
        from .s3 import ObjectStore
    except ImportError as error:
        hint = "pip install 'ma-training[storage]'"
        raise StorageError(f"{found.scheme}:// needs boto3: {error}", hint) from None
    return ObjectStore(found, endpoint, credentials)
