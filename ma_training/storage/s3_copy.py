"""Copies an object on the server: in one request up to 1 GiB, in parts above."""

from typing import Any

from .s3_calls import Calls
from .store import Entry

IN_ONE = 1 << 30
PART = 1 << 28


def copy_object(
    calls: Calls, client: Any, what: str, source: dict[str, Any], target: dict[str, Any], entry: Entry
) -> None:
    asked = target | {"CopySource": source, "CopySourceIfMatch": f'"{entry.etag}"'}
    if entry.size <= IN_ONE:
        calls.do(what, lambda: client.copy_object(**asked))
        return
    made = calls.do(what, lambda: client.create_multipart_upload(**target, Metadata=dict(entry.metadata)))
    upload = {"UploadId": made["UploadId"]}
    try:
        parts = [
            _part(calls, client, what, asked | upload, number, at, min(at + PART, entry.size))
            for number, at in enumerate(range(0, entry.size, PART), 1)
        ]
        whole = target | upload | {"MultipartUpload": {"Parts": parts}}
        calls.do(what, lambda: client.complete_multipart_upload(**whole))
    except BaseException:
        calls.do(what, lambda: client.abort_multipart_upload(**target, **upload))
        raise


def _part(
    calls: Calls, client: Any, what: str, asked: dict[str, Any], number: int, start: int, stop: int
) -> dict[str, Any]:
    arguments = asked | {"PartNumber": number, "CopySourceRange": f"bytes={start}-{stop - 1}"}
    answer = calls.do(what, lambda: client.upload_part_copy(**arguments))
    return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}
