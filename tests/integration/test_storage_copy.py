"""Copies between folders and buckets: what changes, fails, fills up or is killed meanwhile."""

import hashlib
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ma_training.storage import (
    Entry,
    Journal,
    NoSpace,
    Report,
    StorageError,
    Task,
    copy_tree,
    open_store,
)
from ma_training.storage import hosts as hosts_module
from ma_training.storage.directory import DirectoryStore
from ma_training.storage.transfer import SMALL

from ..s3_stub import Stub, stub
from ..storage_trees import BIG, content_of, copy, make_tree

SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "pause", lambda attempt, chance: 0.0)


# --- trees ---


def test_there_and_back(server: Stub, tmp_path: Path) -> None:
    content = make_tree(tmp_path / "in")
    (tmp_path / "in" / "nothing" / "here").mkdir(parents=True)
    bucket, back = open_store("s3://bucket/x/", server.environ), open_store(tmp_path / "out")
    report = copy(open_store(tmp_path / "in"), bucket)
    assert report.complete and report.files == len(content) + 1
    assert content_of(bucket) == content
    assert server.objects["x/big"].metadata["sha256"] == hashlib.sha256(content["big"]).hexdigest()
    assert copy(bucket, back).complete and content_of(back) == content
    assert (tmp_path / "out" / "nothing" / "here").is_dir()
    assert server.uploads == {} and not list(tmp_path.rglob("*.part*"))


def test_a_tenth_of_answers_fail_and_bodies_are_cut(server: Stub, tmp_path: Path) -> None:
    content = make_tree(tmp_path / "in", files=150)
    server.unavailable = server.cut = 0.1
    bucket = open_store("s3://bucket/x/", server.environ)
    assert copy(open_store(tmp_path / "in"), bucket).complete
    assert copy(bucket, open_store(tmp_path / "out")).complete
    server.unavailable = server.cut = 0.0
    assert content_of(bucket) == content == content_of(open_store(tmp_path / "out"))
    assert server.uploads == {}


def test_what_has_changed_is_told_by_the_journal(server: Stub, tmp_path: Path) -> None:
    folder, bucket = open_store(tmp_path / "in"), open_store("s3://bucket/", server.environ)
    make_tree(tmp_path / "in", files=3)
    with Journal(tmp_path / "journal") as journal:
        copy(folder, bucket, journal=journal)
        assert copy(folder, bucket, journal=journal).files == 0
        # Same size, and older than before: "newer than" would miss it.
        (tmp_path / "in" / "empty").write_bytes(b"1")
        copy(folder, bucket, journal=journal)
        (tmp_path / "in" / "empty").write_bytes(b"2")
        os.utime(tmp_path / "in" / "empty", (1, 1))
    with Journal(tmp_path / "journal") as journal:
        report = copy(folder, bucket, journal=journal)
        assert (report.files, server.objects["empty"].data) == (1, b"2")
        requests = len(server.requests)
        assert copy(folder, bucket, journal=journal, look=False).kept == report.kept + 1
        assert len(server.requests) == requests
        server.objects["é/☃&+%41"].data = b"y"
        server.objects["é/☃&+%41"].etag = hashlib.md5(b"y").hexdigest()
        assert copy(folder, bucket, journal=journal).files == 1  # others have written there


def test_without_a_journal_contents_are_compared(server: Stub, tmp_path: Path) -> None:
    folder, bucket = open_store(tmp_path / "in"), open_store("s3://bucket/", server.environ)
    content = make_tree(tmp_path / "in", files=3)
    copy(folder, bucket)
    for task in (Task(folder, bucket), Task(bucket, folder)):
        assert copy_tree(task).files == 0
    (tmp_path / "in" / "big").write_bytes(bytes(BIG))
    os.utime(tmp_path / "in" / "big", (1, 1))
    assert copy(folder, bucket).files == 1
    assert server.objects["big"].data == bytes(BIG) != content["big"]


def test_journal_that_was_cut(tmp_path: Path) -> None:
    make_tree(tmp_path / "in", big=False)
    path = tmp_path / "journal"
    folders = open_store(tmp_path / "in"), open_store(tmp_path / "out")
    with Journal(path) as journal:
        copy(*folders, journal=journal)
        known = dict(journal.records)
        with pytest.raises(StorageError, match="another sync"):
            Journal(path)
    whole = path.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(b'{"x"\n\xff\xfe[1]\n[1,2]\n' + whole[:cut])
        with Journal(path) as journal:
            assert journal.records.items() <= known.items()
            copy(*folders, journal=journal)
            report = copy(*folders, journal=journal)
            assert report.complete and report.files == 0
    assert path.stat().st_mode & 0o777 == 0o600


# --- deleting ---


def test_deletes_only_when_asked_and_never_from_the_source(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "in", files=5)
    make_tree(tmp_path / "out", files=9, big=False)
    source, target = open_store(tmp_path / "in"), open_store(tmp_path / "out")
    assert copy(source, target).deleted == 0
    assert len(content_of(target)) == len(content) + 4
    assert copy(source, target, delete=True).deleted == 4
    assert content_of(source) == content == content_of(target)


def test_deletes_nothing_where_anything_failed_or_the_source_is_gone(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "out", files=5, big=False)
    make_tree(tmp_path / "in", files=1, big=False)
    target = open_store(tmp_path / "out")
    (tmp_path / "in" / "d1").write_bytes(b"a file, where a directory is")
    report = copy(open_store(tmp_path / "in"), target, delete=True)
    assert report.failures == 1 and report.deleted == 0
    for empty in (tmp_path / "empty", tmp_path / "not there"):
        with pytest.raises(StorageError, match="nothing is deleted"):
            copy(open_store(empty), target, delete=True)
    assert content.keys() <= content_of(target).keys()


# --- names ---


def test_hostile_keys_stay_out(server: Stub, tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/", server.environ)
    for key in ("../evil", "a/../../evil", "/evil", "good", "d//x", "x" * 300, "f", "f/g", "m/"):
        bucket.put(key, b"" if key == "m/" else b"1")
    report = copy(bucket, open_store(tmp_path / "out"))
    assert report.failures == 6 and not report.complete
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["f", "good", "m", "out"]
    assert [key for key, _ in report.failed] == sorted(key for key, _ in report.failed)


def test_name_that_is_not_utf8(server: Stub, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"\xff")).write_bytes(b"1")
    (tmp_path / "in" / "ok").write_bytes(b"1")
    report = copy(open_store(tmp_path / "in"), open_store("s3://bucket/", server.environ))
    assert list(server.objects) == ["ok"] and "UTF-8" in report.failed[0][1]


# --- sources that move ---


class Meddled(DirectoryStore):
    """Does something to a file each time that so many bytes of it have been read."""

    meddle: Callable[[], None]
    times = 1

    def open(self, key: str, start: int = 0, stop: int | None = None, etag: str = "") -> Any:
        reader = super().open(key, start, stop, etag)
        if self.times:
            self.times -= 1
            self.meddle()
        return reader


def meddled(folder: Path, meddle: Callable[[], None], times: int = 1) -> Meddled:
    store = Meddled(open_store(folder).url)
    store.meddle, store.times = meddle, times
    return store


@pytest.mark.parametrize("size", [1000, BIG])
def test_growing_log_is_taken_at_the_size_it_had(size: int, server: Stub, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a" * size)

    def grow() -> None:
        with log.open("ab") as file:
            file.write(b"more")

    report = copy(meddled(tmp_path, grow, 99), open_store("s3://bucket/", server.environ))
    assert report.complete and set(server.objects["log"].data) == {ord("a")}
    assert len(server.objects["log"].data) == size
    with Journal(tmp_path / "journal") as journal:
        store = open_store(tmp_path)
        copy(store, open_store("s3://bucket/", server.environ), journal=journal)
    assert server.objects["log"].data == log.read_bytes()


@pytest.mark.parametrize("size", [1000, BIG])
def test_rewritten_file_is_taken_whole(size: int, server: Stub, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * size)
    report = copy(
        meddled(tmp_path, lambda: (path.write_bytes(b"b" * size), None)[1]),
        open_store("s3://bucket/", server.environ),
    )
    assert report.complete and set(server.objects["f"].data) == {ord("b")}
    assert server.uploads == {}


@pytest.mark.parametrize("size", [1000, BIG])
def test_file_that_is_never_still_is_left_out(size: int, server: Stub, tmp_path: Path) -> None:
    path, letters = tmp_path / "f", iter("bcdefghijklmnopqrstuvwxyz" * 10)
    path.write_bytes(b"a" * size)

    def rewrite() -> None:
        path.write_bytes(next(letters).encode() * size)

    report = copy(meddled(tmp_path, rewrite, 99), open_store("s3://bucket/", server.environ))
    assert "changes" in report.failed[0][1] and server.objects == {} and server.uploads == {}


def test_file_that_is_removed_meanwhile(server: Stub, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    store = open_store(tmp_path)
    entry = Entry("gone", 10, 0, "x")
    store.list = lambda prefix="": iter([*DirectoryStore.list(store, prefix), entry])  # type: ignore[method-assign, arg-type, assignment]
    report = copy(store, open_store("s3://bucket/", server.environ))
    assert list(server.objects) == ["f"] and [key for key, _ in report.failed] == ["gone"]


def test_object_replaced_meanwhile(server: Stub, tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/", server.environ)
    bucket.put("f", b"old")
    old = next(bucket.list())
    bucket.put("f", b"newer")
    bucket.list = lambda prefix="": iter([old])  # type: ignore[method-assign, assignment]
    assert copy(bucket, open_store(tmp_path)).complete
    assert (tmp_path / "f").read_bytes() == b"newer"


# --- damage ---


def test_damaged_object_is_not_taken(server: Stub, tmp_path: Path) -> None:
    folder, bucket = tmp_path / "in", open_store("s3://bucket/", server.environ)
    make_tree(folder, files=1)
    copy(open_store(folder), bucket)
    blob = server.objects["big"]
    server.objects["big"] = replace(blob, data=blob.data[:-1] + bytes([blob.data[-1] ^ 1]))
    report = copy(bucket, open_store(tmp_path / "out"))
    assert [key for key, _ in report.failed] == ["big"] and "sha256" in report.failed[0][1]
    assert not (tmp_path / "out" / "big").exists() and not list((tmp_path / "out").glob(".*"))


def test_etag_that_is_no_md5_is_no_reason_to_refuse(server: Stub, tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/", server.environ)
    bucket.put("f", b"x")
    server.objects["f"].etag = "0" * 32
    assert copy(bucket, open_store(tmp_path)).complete


# --- resuming ---


def test_download_goes_on_where_it_ended(server: Stub, tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/", server.environ)
    data = random.Random(3).randbytes(6 * SMALL)
    upload = bucket.upload("big", SMALL, {"sha256": hashlib.sha256(data).hexdigest()})
    for number in range(6):
        upload.part(number + 1, data[number * SMALL : (number + 1) * SMALL])
    upload.complete()
    get = DirectoryStore.upload
    store = open_store(tmp_path)

    def failing(*arguments: Any, **named: Any) -> Any:
        made = get(store, *arguments, **named)  # type: ignore[arg-type]
        real, count = made.part, iter(range(99))

        def part(number: int, data: bytes) -> None:
            if next(count) >= 3:
                raise StorageError("no more")
            real(number, data)

        made.part = part  # type: ignore[method-assign]
        return made

    store.upload = failing  # type: ignore[method-assign]
    assert copy(bucket, store, workers=1).failures == 1
    assert not (tmp_path / "big").exists()
    server.requests.clear()
    assert copy(bucket, open_store(tmp_path), workers=1).complete
    assert sum("Range" in headers for _, _, headers in server.requests) == 3
    assert (tmp_path / "big").read_bytes() == data and len(list(tmp_path.iterdir())) == 1


def test_two_downloads_of_the_same_at_a_time(server: Stub, tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/", server.environ)
    content = make_tree(tmp_path / "in", files=1)
    copy(open_store(tmp_path / "in"), bucket)
    reports: list[Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(copy(bucket, open_store(tmp_path / "out"))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.complete for report in reports)
    assert content_of(open_store(tmp_path / "out")) == content
    assert not list((tmp_path / "out").glob(".*"))


# --- room ---


def test_checked_before_the_first_byte(tmp_path: Path) -> None:
    make_tree(tmp_path / "in", files=3)
    asked = []

    def check(size: int, files: int) -> None:
        asked.append((size, files))
        raise NoSpace("full")

    with pytest.raises(NoSpace):
        copy(open_store(tmp_path / "in"), open_store(tmp_path / "out"), check=check)
    assert asked == [(sum(path.stat().st_size for path in (tmp_path / "in").rglob("*") if path.is_file()), 6)]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_disk_that_fills_up_in_the_middle(tmp_path: Path) -> None:
    make_tree(tmp_path / "in", files=60)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], capture_output=True
    ).returncode:
        pytest.skip("needs mount namespaces")
    try:
        report = copy(open_store(tmp_path / "in"), open_store(small))
        assert isinstance(report.stopped, NoSpace) and "free some room" in str(report.stopped)
        there = content_of(open_store(small))
        assert all((tmp_path / "in" / key).read_bytes() == data for key, data in there.items())
        assert "big" not in there
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        report = copy(open_store(tmp_path / "in"), open_store(small))
        assert report.failures and "Read-only file system" in report.failed[0][1]
    finally:
        subprocess.run(["umount", small], check=True)
