"""Where something is stored: ``obs://bucket/key``, ``s3://bucket/key``, ``file:///path`` or a plain path."""

import os
import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from .errors import BadUrl

SCHEMES = ("obs", "s3", "file")
_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,62}")
_HINT = "write obs://bucket/key, s3://bucket/key or a path"


@dataclass(frozen=True, slots=True)
class Url:
    """``key`` has no leading slash for a bucket; for a file it is the absolute path, with its slash.

    A trailing slash is kept: it says that a directory is meant.
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, text: "str | os.PathLike[str] | Url") -> "Url":
        """Raises BadUrl.

        >>> Url.parse("obs://bucket/a/b/")
        Url(scheme='obs', bucket='bucket', key='a/b/')
        >>> str(Url.parse("/tmp/x"))
        '/tmp/x'
        """
        if isinstance(text, Url):
            return text
        text = os.fspath(text)
        if "\0" in text or not text:
            raise BadUrl(f"{text!r} is no URL: it is empty or holds a NUL", _HINT)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls._path(text)
        scheme = scheme.lower()
        if scheme not in SCHEMES:
            raise BadUrl(f"{_without_user(text)!r} is of a storage that is not known here", _HINT)
        if scheme == "file":
            return cls._file(text, rest)
        return cls._object(scheme, text, rest)

    @classmethod
    def _path(cls, text: str) -> "Url":
        if found := re.match(r"(obs|s3|file):(/?[^/].*)", text, re.IGNORECASE):
            raise BadUrl(f"{text!r} lacks a slash", f"write {found[1].lower()}://{found[2].lstrip('/')}")
        slash = "/" if text.endswith("/") else ""
        return cls("file", "", os.path.abspath(os.path.expanduser(text)).rstrip("/") + slash)  # noqa: PTH100, PTH111

    @classmethod
    def _file(cls, text: str, rest: str) -> "Url":
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise BadUrl(f"{text!r} names a host", "write file:///absolute/path")
        return cls._path("/" + unquote(path))

    @classmethod
    def _object(cls, scheme: str, text: str, rest: str) -> "Url":
        bucket, _, key = rest.partition("/")
        if "@" in bucket:
            raise BadUrl(f"{_without_user(text)!r} holds credentials: they belong in the environment", _HINT)
        if not bucket:
            raise BadUrl(f"{text!r} names no bucket", f"write {scheme}://bucket/key")
        if not _BUCKET.fullmatch(bucket):
            raise BadUrl(f"{text!r}: {bucket!r} is no name of a bucket", "letters, digits, - and .; 3 to 63")
        return cls(scheme, bucket, key.lstrip("/"))

    @property
    def is_local(self) -> bool:
        return self.scheme == "file"

    @property
    def is_directory(self) -> bool:
        """It is written as one: a trailing slash, or a bucket alone."""
        return self.key.endswith("/") or not self.key

    @property
    def name(self) -> str:
        """The last component; of a bucket alone its name."""
        return self.key.rstrip("/").rpartition("/")[2] or self.bucket

    @property
    def root(self) -> "Url":
        """The bucket, or ``/``."""
        return replace(self, key="/" if self.is_local else "")

    @property
    def parent(self) -> "Url":
        """The directory that it is in, with a trailing slash; of a bucket, the bucket."""
        folder, slash, _ = self.key.rstrip("/").rpartition("/")
        return replace(self, key=folder + slash) if slash else self.root

    @property
    def directory(self) -> "Url":
        """The same, written as a directory."""
        return self if self.is_directory else replace(self, key=self.key + "/")

    def child(self, relative: str) -> "Url":
        """What lies below it as a directory."""
        return replace(self, key=self.directory.key + relative) if relative else self

    def __str__(self) -> str:
        return self.key if self.is_local else f"{self.scheme}://{self.bucket}/{self.key}"


def _without_user(text: str) -> str:
    return re.sub(r"://[^/@]*@", "://***@", text)
