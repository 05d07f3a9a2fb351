"""Shows workers' output on the launcher's own: follows their log files, as ``tail -f`` does.

Workers write to files, never to a pipe: their logs are whole however the agent ends, and a slow
terminal or a stopped pager blocks this thread and no worker.
"""

import ctypes
import os
import select
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .line_marker import LineMarker, SharedConsole

CHUNK = 1 << 18
BATCH = 0.02  # seconds: a chatty worker is read in batches, not line by line
FIRST_BATCH = 0.002  # the first output of all is shown at once
UNOPENED = 0.005  # seconds between looks for a file that its worker is about to make
SOON = 2.0  # seconds in which it should
CHUNKS_A_TURN = 64
FALLBACK = 0.2  # seconds between looks where the kernel tells nothing, and for lines held back
BACKLOG = 16 << 20  # bytes: no terminal is read that far behind
IN_MODIFY, IN_NONBLOCK, IN_CLOEXEC = 0x2, 0o4000, 0o2000000


@dataclass(slots=True)
class _Followed:
    path: Path
    target: int | Path  # a descriptor, or a file to be appended to
    marker: LineMarker | None
    source: int = -1  # file descriptor, opened by the thread: a frozen file system stops only it
    offset: int = 0
    ended: bool = False
    since: float = 0.0  # monotonic
    copy: bool = False  # the target is a file of our own


class Console:
    def __init__(self) -> None:
        self._followed: list[_Followed] = []
        self._lock = threading.Lock()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)  # -1: FALLBACK does
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._flushed = threading.Condition(self._lock)
        self._generation = self._done = self._written = 0
        self._closing = False
        self._broken: set[int] = set()
        self._offsets = threading.Lock()  # held for reads of a log only, never while a reader of ours is slow
        self._shared = SharedConsole()
        self._terminals = {number for number in (1, 2) if os.isatty(number)}
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def follow(
        self, path: Path, target: int | Path, prefix: bytes = b"", only: tuple[bytes, ...] = ()
    ) -> None:
        """Copies what is and will be written to ``path`` to a file descriptor, or to the end of a file."""
        shared = self._shared if isinstance(target, int) else SharedConsole()
        marker = LineMarker(prefix, shared, only) if prefix or only else None
        with self._lock:
            self._followed.append(
                _Followed(path, target, marker, since=time.monotonic(), copy=isinstance(target, Path))
            )
        os.write(self._wake_write, b"+")

    def shift(self, path: Path, taken: int) -> None:
        """``taken`` bytes were cut off the beginning of a followed file."""
        with self._offsets:
            for followed in self._followed:
                if followed.path == path:
                    followed.offset = max(0, followed.offset - taken)

    def flush(self, timeout: float) -> bool:
        """Waits until all that was written before is shown; says if it is. Gives up after ``timeout``
        seconds in which the reader of our output took nothing."""
        with self._flushed:
            self._generation += 1
            wanted = self._generation
            os.write(self._wake_write, b"f")
            while self._done < wanted:
                written = self._written
                if not self._flushed.wait(timeout) and self._written == written:
                    return False
            return True

    def forget_all(self) -> None:
        """An attempt is over: its files do not grow any more."""
        with self._lock:
            for followed in self._followed:
                followed.ended = True
        os.write(self._wake_write, b"-")

    def close(self, timeout: float) -> None:
        self.flush(timeout)
        with self._lock:
            self._closing = True
        os.write(self._wake_write, b"q")
        self._thread.join(timeout)

    def _run(self) -> None:
        poller, pause = select.poll(), select.poll()
        for descriptor in (self._wake_read, self._inotify):
            if descriptor >= 0:
                poller.register(descriptor, select.POLLIN)
        while not self._closing:
            held = any(each.marker and each.marker.holds for each in self._followed)
            young = time.monotonic() - SOON
            unopened = any(each.source < 0 and each.since > young for each in self._followed)
            patience = UNOPENED if unopened else FALLBACK if held or self._inotify < 0 else None
            poller.poll(None if patience is None else patience * 1000)
            for descriptor in (self._wake_read, self._inotify):
                _drain(descriptor)
            with self._lock:
                generation, followed, before = self._generation, list(self._followed), self._written
            # "ended" is read before the last copy, so nothing written before it is missed.
            ended = [each for each in followed if each.ended]
            more = [self._open(each) and self._copy(each) for each in followed]
            for each, unfinished in zip(followed, more, strict=True):
                if each in ended and not unfinished:
                    self._forget(each)
            with self._flushed:
                if not any(more):
                    self._done = generation
                self._flushed.notify_all()
            if self._written > before and not any(more):
                pause.poll(BATCH * 1000 if self._written > CHUNK else FIRST_BATCH * 1000)

    def _open(self, followed: _Followed) -> bool:
        if followed.source < 0:
            try:
                followed.source = os.open(followed.path, os.O_RDONLY | os.O_CLOEXEC)
                if isinstance(followed.target, Path):
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                    followed.target = os.open(followed.target, flags, 0o600)
            except OSError:
                return False  # its worker has not made it yet
            if self._inotify >= 0:
                self._libc.inotify_add_watch(self._inotify, os.fsencode(followed.path), IN_MODIFY)
        return True

    def _forget(self, followed: _Followed) -> None:
        if followed.marker is not None:
            self._write(followed.target, followed.marker.rest())
        with self._lock:
            self._followed.remove(followed)
        if followed.source >= 0:
            os.close(followed.source)
            if followed.copy and isinstance(followed.target, int):
                os.close(followed.target)
                self._broken.discard(followed.target)

    def _copy(self, followed: _Followed) -> bool:
        """Some of it: the other files want their turn. Says whether there may be more."""
        data = b""
        for _ in range(CHUNKS_A_TURN):
            data = self._read(followed)
            if not data:
                break
            if followed.marker is not None:
                data = followed.marker.feed(data, time.monotonic())
            self._write(followed.target, data)
        else:
            os.write(self._wake_write, b".")
            return True
        if followed.marker is not None:
            self._write(followed.target, followed.marker.due(time.monotonic()))
        return False

    def _read(self, followed: _Followed) -> bytes:
        try:
            with self._offsets:
                size = os.fstat(followed.source).st_size
                followed.offset = min(followed.offset, size)  # someone has truncated it
                skipped = self._skip(followed, size)
                data = os.pread(followed.source, CHUNK, followed.offset)
                followed.offset += len(data)
        except OSError:
            return b""  # a file system that is gone: the worker's own affair
        if skipped:
            note = f"\nlauncher: {skipped >> 20} MB of output not shown here: it is in {followed.path}\n"
            self._write(followed.target, note.encode())
        return data

    def _skip(self, followed: _Followed, size: int) -> int:
        """Bytes left out, because a terminal is far behind."""
        if followed.target not in self._terminals or size - followed.offset <= BACKLOG:
            return 0
        skipped = size - followed.offset - BACKLOG // 16
        followed.offset += skipped
        return skipped

    def _write(self, target: int | Path, data: bytes) -> None:
        while data and isinstance(target, int) and target not in self._broken:
            try:
                done = os.write(target, data[:CHUNK])
            except BlockingIOError:
                select.select([], [target], [])
            except OSError:  # EPIPE, a closed terminal: the job goes on, its logs are in files
                self._broken.add(target)
            else:
                data = data[done:]
                with self._flushed:
                    self._written += done
                    self._flushed.notify_all()


def _drain(descriptor: int) -> None:
    try:
        while descriptor >= 0 and os.read(descriptor, 65536):
            pass
    except BlockingIOError:
        pass
