"""Names of what is stored: ``a/b.txt`` relative to a store's root, ``a/`` for a directory that is empty.

What comes from a server may be anything; what is joined to a path here cannot leave its folder.
"""

import os
from collections.abc import Iterable

from .errors import BadKey

MOST_KEY_BYTES = 1024  # S3's and OBS's limit
MOST_NAME_BYTES = 255  # of one component, on Linux file systems


def check_key(key: str) -> str:
    """``key`` itself where an object store can hold it; raises BadKey."""
    if not key or "\0" in key:
        raise BadKey(f"{key!r} is no key: it is empty or holds a NUL")
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise BadKey(f"{key!r} is not UTF-8, and object storage takes nothing else", "rename it") from None
    if length > MOST_KEY_BYTES:
        raise BadKey(f"key of {length} bytes, {MOST_KEY_BYTES} are allowed: {key[:60]}...", "shorten it")
    return key


def check_path(key: str) -> str:
    """``key`` itself where it is a relative path that stays in its folder; raises BadKey."""
    parts = key.removesuffix("/").split("/")
    if not key or key.startswith("/"):
        raise BadKey(f"{key!r} is not a relative path: it is not written")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise BadKey(f"{key!r} would not stay in its folder, or names no file there: it is not written")
    if any(len(os.fsencode(part)) > MOST_NAME_BYTES for part in parts):
        raise BadKey(f"a name of over {MOST_NAME_BYTES} bytes does not fit a file system: {key[:60]}...")
    return key


def in_order(keys: Iterable[str]) -> list[str]:
    """As object stores list them: by the bytes of UTF-8."""
    return sorted(keys, key=as_bytes)


def as_bytes(key: str) -> bytes:
    """What keys are ordered by; also for names that are not UTF-8.

    >>> as_bytes("a.b") < as_bytes("a/b")
    True
    """
    return key.encode("utf-8", "surrogateescape")
