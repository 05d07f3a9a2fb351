"""What goes wrong with storage.

StorageError          the text says what, where, what was found, and after it what to do
 ├─ BadUrl            no URL of a storage that is known here
 ├─ BadKey            a name that would leave its folder, or that a store cannot hold
 ├─ NoCredentials     nothing was found to sign requests with
 ├─ Refused           the server knows who asks, or does not, and says no (401, 403, encryption, region)
 ├─ NotFound          no such bucket, key or directory; the text names the nearest that there is
 ├─ Exists            it was to be written only if it was not there, and it is
 ├─ Changed           it is no longer what it was when it was listed, or it changes while it is read
 ├─ Damaged           the bytes do not fit their hash or their length
 ├─ NoSpace           no room, or too many files, where it was to be written
 ├─ LimitExceeded     more, larger or deeper than was allowed
 └─ Unavailable       still failing after the retries: try later
"""


class StorageError(Exception):
    """``hint`` is the line after it: what to do. It never holds a secret."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return f"{self.message}\n    hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.message, self.hint)


class BadUrl(StorageError):
    pass


class BadKey(StorageError):
    pass


class NoCredentials(StorageError):
    pass


class Refused(StorageError):
    pass


class NotFound(StorageError):
    pass


class Exists(StorageError):
    pass


class Changed(StorageError):
    pass


class Damaged(StorageError):
    pass


class NoSpace(StorageError):
    pass


class LimitExceeded(StorageError):
    pass


class Unavailable(StorageError):
    pass
