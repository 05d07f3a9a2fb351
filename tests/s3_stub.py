"""A small object storage in memory, over HTTP, that has OBS's rules and fails on command.

It knows as much of S3 as is used here. What it does not check, signatures above all, the real server of
tests/storage checks.
"""

import base64
import hashlib
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

DOMAIN = "obs.cn-north-4.myhuaweicloud.com"
PAGE = 50  # keys in a listing
KEYS = {"AWS_ACCESS_KEY_ID": "stub-key", "AWS_SECRET_ACCESS_KEY": "stub-canary-secret"}


@dataclass
class Blob:
    data: bytes
    etag: str
    metadata: dict[str, str]
    mtime: float = field(default_factory=time)


class Stub:
    """``buckets`` is what it holds. Set the faults at any time:

    ``unavailable`` and ``cut``: share of requests that get 503, of bodies that end early. ``skew``: seconds
    that its clock is ahead; who signs over 15 minutes off is refused. ``forbid``: answers all with this code.
    """

    def __init__(self, domain: str = "") -> None:
        self.domain = domain
        self.buckets: dict[str, dict[str, Blob]] = {"bucket": {}}
        self.uploads: dict[str, tuple[str, str, dict[str, str], dict[int, bytes]]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.unavailable = self.cut = self.skew = 0.0
        self.forbid: tuple[int, str] | None = None
        self.random = random.Random(7)
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.stub = self  # type: ignore[attr-defined]
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def environ(self) -> dict[str, str]:
        host = self.domain or "127.0.0.1"
        return KEYS | {"S3_ENDPOINT": f"http://{host}:{self.port}"}

    @property
    def objects(self) -> dict[str, Blob]:
        return self.buckets["bucket"]

    def chance(self, share: float) -> bool:
        with self.lock:
            return self.random.random() < share

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def stub(domain: str = "") -> Iterator[Stub]:
    server = Stub(domain)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def names_here(suffix: str) -> Iterator[None]:
    """Names that end so are this machine, for this process."""
    real = socket.getaddrinfo

    def found(host: Any, *rest: Any, **named: Any) -> Any:
        return real("127.0.0.1" if isinstance(host, str) and host.endswith(suffix) else host, *rest, **named)

    socket.getaddrinfo = found
    try:
        yield
    finally:
        socket.getaddrinfo = real


class Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stub: Stub

    def log_message(self, *_: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time() + self._stub.skew, usegmt=True)

    @property
    def _stub(self) -> Stub:
        return self.server.stub  # type: ignore[attr-defined, no-any-return]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        with self._stub.lock:
            self._stub.requests.append((self.command, self.path, dict(self.headers)))
        try:
            self._refuse()
            bucket, key = self._place(unquote(parts.path))
            with self._stub.lock:
                self._answer(bucket, key, query, body)
        except Refusal as refusal:
            self._error(refusal.status, refusal.code)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    # --- rules ---

    def _refuse(self) -> None:
        stub, headers = self._stub, self.headers
        if stub.chance(stub.unavailable):
            raise Refusal(503, "SlowDown")
        if stub.forbid:
            raise Refusal(*stub.forbid)
        self._check_clock()
        hashed = headers.get("x-amz-content-sha256", "")
        if stub.domain and hashed not in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
            raise Refusal(400, "XAmzContentSHA256Mismatch")
        if any(
            name.lower().startswith(("x-amz-trailer", "x-amz-checksum", "x-amz-sdk-checksum"))
            for name in headers
        ):
            raise Refusal(400, "InvalidArgument")

    def _check_clock(self) -> None:
        from calendar import timegm
        from time import strptime

        signed = timegm(strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        if abs(signed - time() - self._stub.skew) > 900:
            raise Refusal(403, "RequestTimeTooSkewed")

    def _place(self, path: str) -> tuple[str, str]:
        host = self.headers["Host"].partition(":")[0]
        if not self._stub.domain:
            bucket, _, key = path.lstrip("/").partition("/")
        elif host == self._stub.domain:
            raise Refusal(405, "PathStyleIsNotAllowed")
        else:
            bucket, key = host.removesuffix("." + self._stub.domain), path[1:]
        if bucket not in self._stub.buckets:
            raise Refusal(404, "NoSuchBucket")
        return bucket, key

    def _check_md5(self, body: bytes) -> None:
        sent = self.headers.get("Content-MD5")
        if not sent:
            raise Refusal(400, "MissingContentMD5")
        if base64.b64decode(sent) != hashlib.md5(body).digest():
            raise Refusal(400, "BadDigest")

    # --- operations ---

    def _answer(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> None:
        objects = self._stub.buckets[bucket]
        if self.command == "POST" and "delete" in query:
            self._check_md5(body)
            raise Refusal(501, "NotImplemented")
        if self.command in ("POST", "PUT", "DELETE") and ("uploads" in query or "uploadId" in query):
            return self._multipart(objects, key, query, body)
        if self.command == "GET" and not key:
            return self._list_uploads() if "uploads" in query else self._list(objects, query)
        if self.command == "PUT":
            return self._put(objects, key, body)
        if self.command == "DELETE":
            objects.pop(key, None)
            return self._send(204, b"")
        return self._get(objects, key)

    def _put(self, objects: dict[str, Blob], key: str, body: bytes) -> None:
        if source := self.headers.get("x-amz-copy-source"):
            blob = objects[unquote(source).lstrip("/").partition("/")[2]]
            objects[key] = Blob(blob.data, blob.etag, blob.metadata)
            return self._send(200, f'<R><ETag>"{blob.etag}"</ETag></R>'.encode())
        self._check_md5(body)
        if self.headers.get("If-None-Match") == "*" and key in objects:
            raise Refusal(412, "PreconditionFailed")
        objects[key] = Blob(body, hashlib.md5(body).hexdigest(), self._metadata())
        return self._send(200, b"", {"ETag": f'"{objects[key].etag}"'})

    def _metadata(self) -> dict[str, str]:
        prefix = "x-amz-meta-"
        return {name[len(prefix) :]: value for name, value in self.headers.items() if name.startswith(prefix)}

    def _get(self, objects: dict[str, Blob], key: str) -> None:
        blob = objects.get(key)
        if blob is None:
            raise Refusal(404, "NoSuchKey")
        wanted = (self.headers.get("If-Match") or "").strip('"')
        if wanted and wanted != blob.etag:
            raise Refusal(412, "PreconditionFailed")
        headers = {"ETag": f'"{blob.etag}"', "Last-Modified": formatdate(blob.mtime, usegmt=True)}
        headers |= {f"x-amz-meta-{name}": value for name, value in blob.metadata.items()}
        data, status = blob.data, 200
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, stop = int(found[1]), min(int(found[2] or len(data)) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            data, status = data[start:stop], 206
        self._send(status, data, headers, may_cut=True)

    def _list(self, objects: dict[str, Blob], query: dict[str, str]) -> None:
        prefix, marker, delimiter = (query.get(name, "") for name in ("prefix", "marker", "delimiter"))
        most = min(int(query.get("max-keys", PAGE)), PAGE)
        found: dict[str, Blob | None] = {}
        for key in sorted(objects, key=str.encode):
            if not key.startswith(prefix):
                continue
            rest, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            name = prefix + rest + slash if slash else key
            if name.encode() > marker.encode():
                found.setdefault(name, None if slash else objects[key])
        page = list(found.items())[:most]
        more = len(found) > most
        rows = [_row(name, blob) for name, blob in page]
        last = f"<NextMarker>{quote(page[-1][0])}</NextMarker>" if more and delimiter else ""
        head = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{last}"
        self._send(200, f"<ListBucketResult>{head}{''.join(rows)}</ListBucketResult>".encode())

    def _list_uploads(self) -> None:
        rows = [
            f"<Upload><Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
            "<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
            for name, (_, key, _, _) in self._stub.uploads.items()
        ]
        self._send(200, f"<R><IsTruncated>false</IsTruncated>{''.join(rows)}</R>".encode())

    def _multipart(self, objects: dict[str, Blob], key: str, query: dict[str, str], body: bytes) -> None:
        uploads = self._stub.uploads
        if "uploads" in query:
            name = f"upload-{len(self._stub.requests)}"
            uploads[name] = ("bucket", key, self._metadata(), {})
            return self._send(200, f"<R><UploadId>{name}</UploadId></R>".encode())
        if query["uploadId"] not in uploads:
            raise Refusal(404, "NoSuchUpload")
        _, _, metadata, parts = uploads[query["uploadId"]]
        if self.command == "PUT":
            self._check_md5(body)
            parts[int(query["partNumber"])] = body
            return self._send(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        del uploads[query["uploadId"]]
        if self.command == "DELETE":
            return self._send(204, b"")
        named = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        digests = b"".join(hashlib.md5(parts[number]).digest() for number in named)
        etag = f"{hashlib.md5(digests).hexdigest()}-{len(named)}"
        objects[key] = Blob(b"".join(parts[number] for number in named), etag, metadata)
        return self._send(200, f'<R><ETag>"{etag}"</ETag></R>'.encode())

    # --- answers ---

    def _send(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, may_cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if may_cut and self._stub.chance(self._stub.cut):
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data)

    def _error(self, status: int, code: str) -> None:
        self._send(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


def _row(name: str, blob: Blob | None) -> str:
    if blob is None:
        return f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{quote(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{blob.etag}&quot;</ETag><Size>{len(blob.data)}</Size></Contents>"
    )
