"""What a path or URL of a user's means."""

import os
from dataclasses import dataclass

from ma_training.storage import BadUrl, Entry, NotFound, Store, Url

from . import auth

Path = str | os.PathLike[str]


def is_remote(path: object) -> bool:
    """It is in object storage.

    >>> is_remote("s3://bucket/x"), is_remote("/tmp/x"), is_remote(3)
    (True, False, False)
    """
    return isinstance(path, str) and path[:6].lower().startswith(("obs://", "s3://"))


@dataclass(frozen=True, slots=True)
class Remote:
    """``key`` has no slash at its end; the bucket itself has none. ``slashed``: one was written after it."""

    bucket: Store
    url: Url
    key: str
    slashed: bool

    @classmethod
    def of(cls, text: str) -> "Remote":
        """Raises BadUrl, NoCredentials."""
        url = Url.parse(text)
        return cls(auth.open_at(url.root), url, url.key.rstrip("/"), url.key.endswith("/"))

    @property
    def prefix(self) -> str:
        """Of all that is under it as a directory."""
        return self.key + "/" if self.key else ""

    def file(self) -> Entry | None:
        """The object of this very name."""
        return None if self.slashed or not self.key else self.bucket.head(self.key)

    def is_directory(self) -> bool:
        """Something is under it, or it is a bucket. One request."""
        try:
            found = next(iter(self.bucket.list(self.prefix)), None)
        except NotFound:  # the bucket
            return False
        return found is not None or not self.key

    def raise_missing(self) -> None:
        """Raises NotFound, with the nearest that there is."""
        if not self.key:
            next(iter(self.bucket.list()), None)
            return
        self.bucket.open(self.key + ("/" if self.slashed else "")).close()


def local(path: Path) -> str:
    """Of a path or a file:// URL. Raises BadUrl."""
    text = os.fspath(path)
    return Url.parse(text).key if "://" in text else text


def url_of(path: Path) -> Url:
    """Raises BadUrl."""
    if isinstance(path, Url):
        return path
    if not isinstance(path, str | os.PathLike):
        raise BadUrl(f"{path!r} is neither a path nor a URL", "write obs://bucket/key or a path")
    return Url.parse(path)
