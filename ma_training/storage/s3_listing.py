"""Listings, page by page, and entries made of what servers say.

By ListObjects of the first version: OBS does not say that it knows the second, and one that does not would
answer a page and no way to the next.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

from .errors import StorageError
from .s3_calls import Calls
from .store import Entry

_MD5 = re.compile(r"[0-9a-f]{32}")


def pages(calls: Calls, client: Any, what: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    marker = ""
    while True:
        page = calls.do(what, lambda marker=marker: client.list_objects(**arguments, Marker=marker))  # type: ignore[misc]
        yield page
        if not page.get("IsTruncated"):
            return
        last = page.get("NextMarker") or _last(page)
        if last.encode() <= marker.encode():
            raise StorageError(f"cannot {what}: the server's listing does not get on, after {marker!r}")
        marker = last


def _last(page: dict[str, Any]) -> str:
    keys = [found["Key"] for found in page.get("Contents", ())[-1:]]
    prefixes = [found["Prefix"] for found in page.get("CommonPrefixes", ())[-1:]]
    return max(keys + prefixes, key=str.encode, default="")


def unfinished_pages(
    calls: Calls, client: Any, what: str, arguments: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    markers: dict[str, str] = {}
    while True:
        asked = arguments | markers
        page = calls.do(what, lambda asked=asked: client.list_multipart_uploads(**asked))  # type: ignore[misc]
        yield page
        following = {
            "KeyMarker": page.get("NextKeyMarker", ""),
            "UploadIdMarker": page.get("NextUploadIdMarker", ""),
        }
        if not page.get("IsTruncated") or following == markers:
            return
        markers = following


def entry_of_listing(found: dict[str, Any], cut: int) -> Entry:
    """``cut``: the length of the root's own key."""
    mtime_ns = int(found["LastModified"].timestamp() * 1e9)
    return Entry(found["Key"][cut:], int(found["Size"]), mtime_ns, str(found.get("ETag", "")).strip('"'))


def entry_of_head(key: str, answer: dict[str, Any]) -> Entry:
    """Of an answer to HEAD, GET or PUT; the size is that of the whole object."""
    etag = str(answer.get("ETag", "")).strip('"')
    ranged = re.fullmatch(r"bytes .*/(\d+)", answer.get("ContentRange") or "")
    modified = answer.get("LastModified")
    return Entry(
        key,
        int(ranged[1]) if ranged else int(answer["ContentLength"]),
        int(modified.timestamp() * 1e9) if modified else time.time_ns(),
        etag,
        dict(answer.get("Metadata", {})),
        etag if _is_md5(etag, answer) else "",
    )


def _is_md5(etag: str, answer: dict[str, Any]) -> bool:
    """Not so for multipart uploads, nor where the server encrypts with a customer's key."""
    encrypted = answer.get("ServerSideEncryption", "") not in ("", "AES256") or answer.get(
        "SSECustomerAlgorithm"
    )
    return bool(_MD5.fullmatch(etag)) and not encrypted
