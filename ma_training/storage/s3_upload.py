"""A multipart upload."""

import base64
import hashlib
import threading
from typing import Any

from .errors import Changed, Damaged, NotFound
from .s3_calls import Calls
from .s3_listing import entry_of_head
from .store import Entry

MOST_PARTS = 10_000


class ObjectUpload:
    """``name`` is for messages; ``where`` has Bucket and Key."""

    done: frozenset[int] = frozenset()

    def __init__(
        self,
        calls: Calls,
        client: Any,
        name: str,
        key: str,
        where: dict[str, Any],
        part_size: int,
        metadata: dict[str, str],
    ) -> None:
        self.part_size = part_size
        self._calls, self._client, self._name, self._key = calls, client, name, key
        self._lock = threading.Lock()
        self._parts: dict[int, tuple[str, bytes, int]] = {}  # etag, MD5, bytes
        answer = self._do(lambda: client.create_multipart_upload(**where, Metadata=metadata))
        self._plain = where
        self.id = str(answer["UploadId"])
        self._where = where | {"UploadId": answer["UploadId"]}

    def _do(self, request: Any) -> Any:
        return self._calls.do(f"write {self._name}", request)

    def part(self, number: int, data: bytes) -> None:
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        sent = {"Body": data, "ContentMD5": base64.b64encode(digest).decode(), "PartNumber": number}
        answer = self._do(lambda: self._client.upload_part(**self._where, **sent))
        with self._lock:
            self._parts[number] = (answer["ETag"], digest, len(data))

    def complete(self, sha256: str = "", md5: str = "") -> Entry:
        """The server has checked each part's MD5; the whole's hash belongs into the metadata."""
        parts = [{"PartNumber": number, "ETag": etag} for number, (etag, _, _) in sorted(self._parts.items())]
        arguments = self._where | {"MultipartUpload": {"Parts": parts}}
        try:
            self._do(lambda: self._client.complete_multipart_upload(**arguments))
        except NotFound:
            pass  # an earlier try got through, and its answer was lost; or somebody aborted it: see below
        entry = self._head()
        if entry.etag != self._expected_etag() or entry.size != sum(
            size for _, _, size in self._parts.values()
        ):
            raise Changed(f"{self._name} is not what was uploaded: others aborted it, or wrote there as well")
        return entry

    def _head(self) -> Entry:
        answer = self._calls.find(f"look at {self._name}", lambda: self._client.head_object(**self._plain))
        if answer is None:
            raise Damaged(
                f"{self._name} is not there after its upload: it was aborted by others", "copy it again"
            )
        return entry_of_head(self._key, answer)

    def _expected_etag(self) -> str:
        digests = b"".join(digest for _, (_, digest, _) in sorted(self._parts.items()))
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(self._parts)}"

    def suspend(self) -> None:
        """Aborts: what a server keeps of it costs, and nobody would know whose it is."""
        self.abort()

    def abort(self) -> None:
        try:
            self._do(lambda: self._client.abort_multipart_upload(**self._where))
        except NotFound:
            pass  # completed or gone
