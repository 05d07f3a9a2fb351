"""A bucket, or what is under a prefix of it, as a Store."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .credentials import Credentials
from .endpoints import Endpoint
from .errors import BadKey, Changed, Exists, NotFound, StorageError
from .keys import check_key
from .s3_calls import Calls
from .s3_client import client_for
from .s3_copy import copy_object
from .s3_listing import entry_of_head, entry_of_listing, pages, unfinished_pages
from .s3_reader import ObjectReader
from .s3_upload import ObjectUpload
from .store import Entry, Unfinished, Upload
from .url import Url


class ObjectStore:
    """Keys are relative to ``url``'s key, which is taken for a directory."""

    def __init__(self, url: Url, endpoint: Endpoint, credentials: Credentials | None) -> None:
        self.url = url.directory
        self.endpoint = endpoint
        self._bucket, self._prefix = url.bucket, self.url.key
        self._credentials = credentials
        self._calls = Calls(endpoint)
        assert self._client  # credentials are looked for now, and not when a request fails

    @property
    def _client(self) -> Any:
        """Of this process: connections of a parent are not to be used by its children."""
        return client_for(self.url.scheme, self._bucket, self.endpoint, self._credentials)

    # --- finding ---

    def list(self, prefix: str = "") -> Iterator[Entry]:
        arguments = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        for page in pages(self._calls, self._client, f"list {self._name(prefix)}", arguments):
            for found in page.get("Contents", ()):
                if found["Key"] != self._prefix:  # the marker of the root itself
                    yield entry_of_listing(found, len(self._prefix))

    def list_directory(self, prefix: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        folder = prefix.rstrip("/") + "/" if prefix else ""
        arguments = {"Bucket": self._bucket, "Prefix": self._prefix + folder, "Delimiter": "/"}
        directories: list[str] = []
        entries: list[Entry] = []
        for page in pages(self._calls, self._client, f"list {self._name(folder)}", arguments):
            cut = len(self._prefix)
            directories += [found["Prefix"][cut:] for found in page.get("CommonPrefixes", ())]
            entries += [
                entry_of_listing(found, cut)
                for found in page.get("Contents", ())
                if found["Key"] != self._prefix + folder
            ]
        return directories, entries

    def head(self, key: str) -> Entry | None:
        where = self._where(key)
        answer = self._calls.find(f"look at {self._name(key)}", lambda: self._client.head_object(**where))
        return entry_of_head(key, answer) if answer else None

    # --- reading ---

    def open(self, key: str, start: int = 0, stop: int | None = None, etag: str = "") -> ObjectReader:
        where, what = self._where(key), f"read {self._name(key)}"
        if stop is not None and stop <= start:
            raise StorageError(f"cannot {what}: from {start} to {stop} is nothing")

        def get(at: int, etag: str) -> dict[str, Any]:
            conditions: dict[str, Any] = {"IfMatch": f'"{etag}"'} if etag else {}
            if at or stop is not None:
                conditions["Range"] = f"bytes={at}-{'' if stop is None else stop - 1}"
            answer: dict[str, Any] = self._client.get_object(**where, **conditions)
            return answer

        try:
            answer = self._calls.do(what, lambda: get(start, etag))
        except NotFound as error:
            raise self._nearest(key, error) from None
        except Changed:
            raise Changed(f"{self._name(key)} is no longer what it was when it was listed") from None
        return ObjectReader(self._calls, what, entry_of_head(key, answer), answer, start, get)

    def _nearest(self, key: str, error: NotFound) -> NotFound:
        """The same, with the longest prefix of the key that something is under."""
        if "NoSuchBucket" in error.message:
            return error
        folder = key
        while folder:
            folder = folder.rstrip("/").rpartition("/")[0]
            folder += "/" if folder else ""
            directories, entries = self.list_directory(folder)
            if found := [*directories, *(entry.key for entry in entries)]:
                some = ", ".join(found[:3]) + (" ..." if len(found) > 3 else "")
                return NotFound(error.message, f"the nearest that there is: {self._name(folder)} with {some}")
        return NotFound(error.message, f"there is nothing under {self.url}")

    # --- writing ---

    def put(
        self, key: str, data: bytes, metadata: Mapping[str, str] | None = None, if_none_match: bool = False
    ) -> Entry:
        if key.endswith("/") and data:
            raise BadKey(
                f"{key!r} is a directory by its name, and holds {len(data)} bytes: it is not written"
            )
        digest = hashlib.md5(data, usedforsecurity=False)
        arguments = self._where(key) | {
            "Body": data,
            "ContentMD5": base64.b64encode(digest.digest()).decode(),
            "Metadata": dict(metadata or {}),
        }
        if if_none_match:
            return self._put_new(key, arguments, digest.hexdigest())
        answer = self._calls.do(f"write {self._name(key)}", lambda: self._client.put_object(**arguments))
        return _written(key, len(data), answer, digest.hexdigest(), arguments["Metadata"])

    def _put_new(self, key: str, arguments: dict[str, Any], md5: str) -> Entry:
        try:
            answer = self._calls.do(
                f"write {self._name(key)}", lambda: self._client.put_object(**arguments, IfNoneMatch="*")
            )
        except (Changed, Exists):
            there = self.head(key)
            if there and there.md5 == md5 and there.metadata == arguments["Metadata"]:
                return there  # written by our own earlier try, whose answer was lost
            raise Exists(f"{self._name(key)} is there already: it is not written over") from None
        return _written(key, len(arguments["Body"]), answer, md5, arguments["Metadata"])

    def upload(
        self, key: str, part_size: int, metadata: Mapping[str, str] | None = None, tag: str = ""
    ) -> Upload:
        return ObjectUpload(
            self._calls, self._client, self._name(key), key, self._where(key), part_size, dict(metadata or {})
        )

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        arguments = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        for page in unfinished_pages(self._calls, self._client, f"list {self._name(prefix)}", arguments):
            for found in page.get("Uploads", ()):
                started = int(found["Initiated"].timestamp() * 1e9)
                yield Unfinished(found["Key"][len(self._prefix) :], found["UploadId"], started)

    def abort(self, upload: Unfinished) -> None:
        where = self._where(upload.key) | {"UploadId": upload.id}
        what = f"abort the upload of {self._name(upload.key)}"
        try:
            self._calls.do(what, lambda: self._client.abort_multipart_upload(**where))
        except NotFound:
            pass  # gone already

    def delete(self, key: str) -> None:
        # One by one: DeleteObjects needs a Content-MD5 on OBS, which boto3 no longer sends.
        where = self._where(key)
        try:
            self._calls.do(f"delete {self._name(key)}", lambda: self._client.delete_object(**where))
        except NotFound as error:
            if "NoSuchBucket" in error.message:
                raise

    def copy(self, source: str, target: str) -> Entry:
        entry = self.head(source)
        if entry is None:
            raise NotFound(f"cannot copy {self._name(source)}: it is not there")
        what = f"copy {self._name(source)} to {self._name(target)}"
        copy_object(self._calls, self._client, what, self._where(source), self._where(target), entry)
        copied = self.head(target)
        if copied is None or copied.size != entry.size:
            raise Changed(f"{self._name(target)} was changed by others while it was written")
        return copied

    # --- where it lies ---

    def _where(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": check_key(self._prefix + key)}

    def _name(self, key: str) -> str:
        return str(replace(self.url, key=self._prefix + key))

    def __repr__(self) -> str:
        return f"ObjectStore({str(self.url)!r})"


def _written(key: str, size: int, answer: dict[str, Any], md5: str, metadata: dict[str, str]) -> Entry:
    return replace(entry_of_head(key, answer | {"ContentLength": size, "Metadata": metadata}), md5=md5)
