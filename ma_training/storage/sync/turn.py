"""One process at a time works on a directory, which may be on a disk that several machines share.

    turn.json   who has the turn: {"token", "holder", "beat", "progress"}, written anew each second; gone
                when it is over
    done.json   {"token"} of the last turn whose work was completed

They lie in ``.NAME.ma-training`` beside the directory NAME: scripts take each directory in a data set for a
class, and each file for a sample. Where that cannot be, as for what is mounted at NAME, in
``NAME/.ma-training``.

A turn whose process is dead is taken over: at once where that can be seen (one machine), else when it has
shown no sign of life for 15 s of the waiting one's own clock. Two who take over at the same time write one
after the other; who then reads its own token has the turn. Someone who was thought to be dead (stopped, cut
off) finds another's token and must stop; that both worked for a moment does no harm, as files appear whole.
"""

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import StorageError
from ..local_errors import told
from .holder import Holder

FOLDER = ".ma-training"
BEAT = 1.0  # seconds
STALE = 15.0
SETTLE = 0.5  # between taking over and believing it
SAY_EVERY = 30.0


class TurnLost(StorageError):
    """The work is another process's now."""


def folder_of(directory: Path) -> Path:
    """Where the files lie that are kept about ``directory``, which exists."""
    parent = directory.parent
    inside = directory.lstat().st_dev != parent.stat().st_dev or not os.access(parent, os.W_OK)
    return directory / FOLDER if inside else parent / f".{directory.name}{FOLDER}"


def is_ours(key: str) -> bool:
    """Not the user's: what is kept about a directory."""
    return any(part.endswith(FOLDER) and part.startswith(".") for part in key.split("/"))


class Turn:
    """``say`` is told what is waited for. Times in seconds."""

    def __init__(
        self,
        directory: Path,
        say: Callable[[str], None],
        folder: Path | None = None,
        stale: float = STALE,
        settle: float = SETTLE,
        uploads: bool = False,
    ) -> None:
        """``folder``: where its files are to lie, if not beside the directory. ``uploads``: it lasts as long
        as the job, whose other nodes need not wait for it: what they would bring is there already."""
        self._directory, self._say = directory, say
        self._stale, self._settle = stale, settle
        self.folder = folder or folder_of(directory)
        self._path, self._done = self.folder / "turn.json", self.folder / "done.json"
        self._token = secrets.token_hex(8)
        self._holder = Holder.of(os.getpid()).to_record()
        self._uploads, self._progress = uploads, ""
        self._beat = 0
        self._ended = threading.Event()
        self._lost = False
        self._thread: threading.Thread | None = None
        self._seen: tuple[str, float] = ("", 0.0)  # the other's file, and since when it is so

    @property
    def is_ours(self) -> bool:
        return self._thread is not None and not self._lost

    def check(self) -> None:
        """Raises TurnLost."""
        if self._lost:
            raise TurnLost(f"another process has taken over the work on {self._directory}")

    def tell(self, progress: str) -> None:
        """For those who wait."""
        self._progress = progress

    # --- taking it ---

    def take(self) -> bool:
        """Now, if it is free; says whether it is ours."""
        if self.is_ours:
            return True
        with told("write", self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            other = self._read()
            taken = self._create() if other is None else self._is_stale(other) and self._take_over()
        if taken:
            self._lost = False
            self._thread = threading.Thread(target=self._keep, name="turn", daemon=True)
            self._ended.clear()
            self._thread.start()
        return taken

    def wait(self) -> bool:
        """Until it is ours: True; or until another one has completed the work meanwhile: False. Who uploads
        from there has: a node that waited for it here would never join the job that it waits in."""
        said, waited_for = 0.0, ""
        while not self.take():
            now, other = time.monotonic(), self._parsed(self._read())
            if other.get("uploads"):
                return False
            waited_for = str(other.get("token", waited_for))
            if now - said >= SAY_EVERY or not said:
                said = now
                self._say(self._waiting(other))
            if waited_for and self._completed() == waited_for:
                return False
            time.sleep(min(0.2, self._stale / 5))
        if waited_for and self._completed() == waited_for:
            self.release(False)
            return False
        return True

    def _waiting(self, other: dict[str, Any]) -> str:
        progress = f": {other['progress']}" if other.get("progress") else ""
        return f"waiting for {self._named(other)}, which works on {self._directory}{progress}"

    def _named(self, other: dict[str, Any]) -> str:
        try:
            return str(Holder.from_record(other["holder"]))
        except (LookupError, ValueError, TypeError):
            return "another process"

    def _create(self) -> bool:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb") as file:
            file.write(self._record())
        return True

    def _is_stale(self, text: str) -> bool:
        now = time.monotonic()
        if text != self._seen[0]:
            self._seen = (text, now)
        try:
            if Holder.from_record(self._parsed(text)["holder"]).is_gone():
                return True
        except (LookupError, ValueError, TypeError):
            pass  # cut by a kill: nothing shows who it was
        return now - self._seen[1] >= self._stale

    def _take_over(self) -> bool:
        self._write()
        time.sleep(self._settle)
        return self._parsed(self._read()).get("token") == self._token

    # --- keeping it ---

    def _keep(self) -> None:
        while not self._ended.wait(min(BEAT, self._stale / 5)):
            try:
                if self._parsed(self._read()).get("token") != self._token:
                    self._lost = True
                    return
                self._beat += 1
                self._write()
            except OSError:
                continue  # the disk hangs or is full: others wait, and may take over

    def release(self, done: bool = True) -> None:
        """``done``: the work is complete, and need not be done again by those who have waited."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with told("write", self._path):
            if self._parsed(self._read()).get("token") != self._token:
                return
            if done:
                self._replace(self._done, json.dumps({"token": self._token}).encode())
            self._path.unlink(missing_ok=True)

    # --- files ---

    def _completed(self) -> str:
        try:
            return str(self._parsed(self._done.read_text()).get("token", ""))
        except OSError:
            return ""

    def _read(self) -> str | None:
        try:
            return self._path.read_text(errors="replace")
        except FileNotFoundError:
            return None

    def _parsed(self, text: str | None) -> dict[str, Any]:
        try:
            found = json.loads(text or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _record(self) -> bytes:
        record = {"token": self._token, "holder": self._holder, "beat": self._beat}
        return json.dumps(record | {"progress": self._progress, "uploads": self._uploads}).encode()

    def _write(self) -> None:
        self._replace(self._path, self._record())

    def _replace(self, path: Path, data: bytes) -> None:
        fresh = path.with_name(f"{path.name}.{self._token}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        fresh.replace(path)

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.release(done=error is None)
