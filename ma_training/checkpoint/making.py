"""A checkpoint in the making: whole under its own name, or not there.

    .tmp-<random>/       state.safetensors is its first file, and locked as long as its writer lives
      files, each fsynced → manifest, fsynced → the directory fsynced
    → renamed to step-<step>, or step-<step>-2 ... where that is taken → the parent fsynced
    → latest replaced, which is only a hint

What a dead writer leaves begins with ``.tmp-`` and is swept. Sweeper and writer both take the lock
before they trust in the name: between a writer's mkdir and its lock the directory may be swept, and
then the writer takes another one.
"""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from .errors import CheckpointError
from .locks import is_still_at, try_lock
from .manifest import MANIFEST, STATE, FileRecord

TEMPORARY = ".tmp-"
LATEST = "latest"

_BUFFER = 1 << 20  # bytes: small tensors are written together
_NEW = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Making:
    """Used with ``with``: what is not finished is removed at the end. All methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path, self._lock = _claim_directory(root)
        self._finished = False

    def __enter__(self) -> "Making":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._finished:
                discard(self._path)
        except OSError:
            if error is None:
                raise  # else the first fault is the one to be told, and what is left gets swept
        finally:
            os.close(self._lock)

    def write(self, name: str, fill: Callable[[BinaryIO], FileRecord]) -> FileRecord:
        """One file, durable on return."""
        path = self._path / name
        descriptor = self._lock if name == STATE else os.open(path, _NEW | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb", buffering=_BUFFER, closefd=False) as file:
                record = fill(file)
            os.fsync(descriptor)
        finally:
            if descriptor != self._lock:
                os.close(descriptor)
        return record

    def finish(self, name: str, manifest: bytes) -> Path:
        """Writes the manifest, and gives the whole its name, or that with -2, -3 ... where it is taken.

        Raises CheckpointError where it has its name, but that may not be durable."""
        self.write(MANIFEST, lambda file: FileRecord(file.write(manifest), ""))
        sync_directory(self._path)
        path = self._rename(name)
        self._finished = True
        try:
            sync_directory(self._root)
        except OSError as error:
            text = f"{path} is saved, but might not survive a power cut: {error.strerror} ({self._root})"
            raise CheckpointError(text) from None
        return path

    def _rename(self, name: str) -> Path:
        number = 1
        while True:
            path = self._root / (name if number == 1 else f"{name}-{number}")
            try:
                return self._path.rename(path)
            except OSError:
                # A checkpoint of that name, as the directory is not empty, or some file.
                if not os.path.lexists(path):
                    raise
            number += 1


def point_latest(root: Path, name: str) -> None:
    """Puts ``name`` into the file ``latest``, whole. Raises OSError."""
    path, descriptor = _claim_file(root)
    try:
        os.write(descriptor, f"{name}\n".encode())
        os.fsync(descriptor)
        path.replace(root / LATEST)
        sync_directory(root)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def forget_latest(path: Path) -> None:
    """Before ``path`` is removed: the hint is not to lead to what is not there. Raises OSError."""
    hint = path.with_name(LATEST)
    try:
        if hint.read_bytes().strip() == path.name.encode():
            hint.unlink()
    except FileNotFoundError:
        return


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Takes a checkpoint's name away in one step: from here on it is there for no one, and is swept."""
    aside = path.with_name(_temporary_name())
    return path.rename(aside)


def discard(path: Path) -> int:
    """Removes a directory's files, manifest first, and itself; returns how many bytes. Others may do the
    same at the same time. Directories in it are not ours: OSError says that it is not empty."""
    names = sorted(os.listdir(path), key=lambda name: (name != MANIFEST, name == STATE))
    freed = sum(_unlink(path / name) for name in names)
    path.rmdir()
    return freed


def sweep(root: Path) -> list[str]:
    """Removes what dead writers have left; returns its names. What cannot be removed stays for later."""
    try:
        names = sorted(os.listdir(root))
    except OSError:  # it is not there, or what follows will say why
        return []
    return [name for name in names if name.startswith(TEMPORARY) and _swept(root / name)]


def _swept(path: Path) -> bool:
    try:
        is_directory = not path.is_symlink() and path.is_dir()
        descriptor = os.open(path / STATE if is_directory else path, _NEW, 0o600)
    except OSError:
        return False
    try:
        # None, where nothing can be locked, says nothing about the writer.
        if try_lock(descriptor, exclusive=True) is not True:
            return False
        if is_directory:
            discard(path)
        else:
            path.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _claim_directory(root: Path) -> tuple[Path, int]:
    while True:
        path = root / _temporary_name()
        path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path / STATE, _NEW, 0o600)
            if _is_ours(descriptor, path / STATE):
                return path, descriptor
        except FileNotFoundError:  # swept already
            continue
        except OSError:
            discard(path)
            raise


def _claim_file(root: Path) -> tuple[Path, int]:
    while True:
        path = root / _temporary_name()
        descriptor = os.open(path, _NEW | os.O_EXCL, 0o600)
        try:
            if _is_ours(descriptor, path):
                return path, descriptor
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _is_ours(descriptor: int, path: Path) -> bool:
    """Locked, and not swept before that. Closes the file if not."""
    ours = False
    try:
        ours = try_lock(descriptor, exclusive=True) is not False and is_still_at(descriptor, path)
    finally:
        if not ours:
            os.close(descriptor)
    return ours


def _temporary_name() -> str:
    return f"{TEMPORARY}{os.urandom(8).hex()}"


def _unlink(path: Path) -> int:
    try:
        size = path.lstat().st_size
        path.unlink()
    except FileNotFoundError:  # another one was faster
        return 0
    except IsADirectoryError:
        return 0
    return size
