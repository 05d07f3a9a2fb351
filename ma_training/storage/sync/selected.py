"""A part of a store: what is listed is chosen, and reading may be broken off; all else is the store's."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..store import Entry, Reader, Store, Unfinished, Upload


class Selected:
    """``wanted(entry)`` says what is listed. ``check()`` is called before each read, and may raise."""

    def __init__(
        self, store: Store, wanted: Callable[[Entry], bool], check: Callable[[], None] = lambda: None
    ) -> None:
        self.url = store.url
        self._store, self._wanted, self._check = store, wanted, check

    def list(self, prefix: str = "") -> Iterator[Entry]:
        for entry in self._store.list(prefix):
            self._check()
            if self._wanted(entry):
                yield entry

    def list_directory(self, prefix: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        return self._store.list_directory(prefix)

    def head(self, key: str) -> Entry | None:
        return self._store.head(key)

    def open(self, key: str, start: int = 0, stop: int | None = None, etag: str = "") -> Reader:
        self._check()
        return self._store.open(key, start, stop, etag)

    def put(
        self, key: str, data: bytes, metadata: Mapping[str, str] | None = None, if_none_match: bool = False
    ) -> Entry:
        return self._store.put(key, data, metadata, if_none_match)

    def upload(
        self, key: str, part_size: int, metadata: Mapping[str, str] | None = None, tag: str = ""
    ) -> Upload:
        return self._store.upload(key, part_size, metadata, tag)

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        return self._store.unfinished(prefix)

    def abort(self, upload: Unfinished) -> None:
        self._store.abort(upload)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def copy(self, source: str, target: str) -> Entry:
        return self._store.copy(source, target)
