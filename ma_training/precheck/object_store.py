"""A real write to object storage, and its removal: OBS answers HEAD for anything."""

import uuid
from collections.abc import Mapping


def is_url(target: str) -> bool:
    return "://" in target


def write_and_remove(url: str, environ: Mapping[str, str]) -> str:
    """Why an object cannot be written and removed below ``url``; '' where it can. Found as jobs find it."""
    from ma_training.storage import StorageError, open_store

    name = f".precheck-{uuid.uuid4().hex}"
    try:
        store = open_store(url, environ)
        store.put(name, b"precheck")
        store.delete(name)
    except StorageError as error:
        return str(error)
    return ""
