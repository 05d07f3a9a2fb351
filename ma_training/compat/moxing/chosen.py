"""Some of what a store holds, as a store to copy from: copy_parallel's file_list, and manifests."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from ma_training.storage import BadKey, Entry, Store, Url, check_path

FEW = 256  # so many are asked for one by one; of more, the whole listing is gone through


class Chosen:
    """``keys`` alone are listed; which of them are not there is found in ``missing`` afterwards."""

    def __init__(self, store: Store, keys: Iterable[str]) -> None:
        self._store, self._keys = store, frozenset(keys)
        self.missing: list[str] = []

    def list(self, prefix: str = "") -> Iterator[Entry]:
        self.missing = []
        if len(self._keys) > FEW:
            found = set()
            for entry in self._store.list(prefix):
                if entry.key in self._keys:
                    found.add(entry.key)
                    yield entry
            self.missing = sorted(self._keys - found)
            return
        for key in sorted(self._keys, key=lambda key: key.encode(errors="surrogateescape")):
            if there := self._store.head(key):
                yield there
            else:
                self.missing.append(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def store(self) -> Store:
        return cast(Store, self)


def relative(source: Url, names: Iterable[object]) -> list[str]:
    """What a file_list names, relative to ``source``. Raises BadKey for what is not below it.

    >>> relative(Url.parse("obs://b/data"), ["a.txt", "./d/b.txt", "obs://b/data/c.txt"])
    ['a.txt', 'd/b.txt', 'c.txt']
    """
    base = str(source.directory)
    found = []
    for name in names:
        text = str(name)
        key = text.removeprefix(base) if text.startswith(base) else text.removeprefix("./")
        try:
            found.append(check_path(key))
        except BadKey as error:
            raise BadKey(f"file_list: {error.message}", f"names are relative to {base}") from None
    return found
