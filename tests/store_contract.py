"""What every Store must do: each function takes an empty one. Run on a folder, the stub and a real server."""

import hashlib
import os

import pytest

from ma_training.storage import BadKey, Changed, Exists, NotFound, Store

MIB = 1 << 20
MANY = 120


def put_and_read(store: Store) -> None:
    entry = store.put("a/b.txt", b"hello")
    found = store.head("a/b.txt")
    assert found and found.stamp == entry.stamp and found.size == 5
    assert [listed.stamp for listed in store.list()] == [entry.stamp]
    with store.open("a/b.txt") as reader:
        assert (reader.read(2), reader.read(), reader.read()) == (b"he", b"llo", b"")
    with store.open("a/b.txt", 1, 3) as reader:
        assert reader.entry.size == 5
        assert reader.read() == b"el"


def nothing_there(store: Store) -> None:
    assert list(store.list()) == [] and list(store.list("x/")) == []
    assert store.list_directory() == ([], []) and store.head("x") is None
    store.delete("x")
    store.put("known/x", b"")
    with pytest.raises(NotFound, match="known"):
        store.open("known/y")
    with pytest.raises(NotFound):
        store.copy("known/y", "z")


def order_and_levels(store: Store) -> None:
    for key in ("b", "a/b", "a.b", "a/é", "a b", "c/d/e", "a%2Fb", "c/+&<>\"'", "\N{SNOWMAN}"):
        store.put(key, key.encode())
    expected = sorted(["b", "a/b", "a.b", "a/é", "a b", "c/d/e", "a%2Fb", "c/+&<>\"'", "☃"], key=str.encode)
    assert [entry.key for entry in store.list()] == expected
    assert [entry.key for entry in store.list("a")] == [key for key in expected if key.startswith("a")]
    directories, entries = store.list_directory()
    assert list(directories) == ["a/", "c/"]
    assert {entry.key for entry in entries} == {key for key in expected if "/" not in key}
    assert store.list_directory("c")[0] == ["c/d/"] == store.list_directory("c/")[0]
    for key in expected:
        with store.open(key) as reader:
            assert reader.read() == key.encode()


def many(store: Store) -> None:
    """More than a page of the stub's."""
    for number in range(MANY):
        store.put(f"{number:04}/x", b"")
    assert [entry.key for entry in store.list()] == [f"{number:04}/x" for number in range(MANY)]
    assert len(store.list_directory()[0]) == MANY


def conditions(store: Store) -> None:
    entry = store.put("a", b"one", if_none_match=True)
    with pytest.raises(Exists):
        store.put("a", b"two", if_none_match=True)
    with store.open("a", etag=entry.etag) as reader:
        assert reader.read() == b"one"
    store.put("a", b"three")
    with pytest.raises(Changed):
        store.open("a", etag=entry.etag)


def large(store: Store) -> None:
    data = os.urandom(11 * MIB)
    digest = hashlib.sha256(data).hexdigest()
    upload = store.upload("d/big", 5 * MIB, {"sha256": digest})
    for number in (3, 1, 2):
        assert store.head("d/big") is None and [entry.key for entry in store.list() if entry.size] == []
        upload.part(number, data[(number - 1) * 5 * MIB : number * 5 * MIB])
    assert [(found.key, found.id) for found in store.unfinished()] == [("d/big", upload.id)]
    entry = upload.complete(digest)
    assert entry.size == len(data) and [found.stamp for found in store.list()] == [entry.stamp]
    with store.open("d/big", 5 * MIB - 3, 5 * MIB + 3) as reader:
        assert reader.read() == data[5 * MIB - 3 : 5 * MIB + 3]
    assert store.copy("d/big", "d/other").size == len(data)
    with store.open("d/other") as reader:
        assert reader.read() == data
    assert list(store.unfinished()) == []


def aborted(store: Store) -> None:
    upload = store.upload("big", 5 * MIB)
    upload.part(1, b"x")
    (found,) = store.unfinished()
    store.abort(found)
    store.abort(found)
    again = store.upload("big", 5 * MIB)
    again.abort()
    assert list(store.unfinished()) == [] and store.head("big") is None


def directories(store: Store) -> None:
    store.put("e/", b"")
    assert [entry.key for entry in store.list()] == ["e/"]
    assert list(store.list_directory()[0]) == ["e/"]
    assert store.list_directory("e") == ([], [])
    with pytest.raises(BadKey):
        store.put("e/", b"x")
    store.delete("e/")
    assert list(store.list()) == []


def empty_and_over(store: Store) -> None:
    store.put("a", b"")
    with store.open("a") as reader:
        assert reader.read() == b""
    store.put("a", b"more")
    store.delete("a")
    assert store.head("a") is None


CONTRACT = (
    put_and_read,
    nothing_there,
    order_and_levels,
    many,
    conditions,
    large,
    aborted,
    directories,
    empty_and_over,
)
