"""Unpacks tar and zip archives that nobody vouches for.

Into a folder beside the final one, which gets its name when all of it is there. No member leaves the folder:
names are checked, links and devices are refused, and what comes out may be no larger than there is room.
"""

import lzma
import os
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import BadKey, Damaged, Exists, NoSpace, StorageError
from .keys import check_path
from .local_errors import told
from .room import check_room, room_at

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,  # encrypted
)
_PIECE = 1 << 20
_MEMBERS = 1_000_000


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, most_bytes: int | None = None) -> int:
    """Makes ``folder`` of it; returns the number of files. ``most_bytes``: by default what the disk has.

    Raises Exists where ``folder`` is not empty, BadKey for a member that is refused, NoSpace, Damaged.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise Exists(f"{folder} is there already, and not empty", "unpack into another directory")
    making = folder.with_name(f".{folder.name[:200]}.{secrets.token_hex(8)}.part")
    with told("unpack into", folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = room_at(folder.parent)
        making.mkdir()
    try:
        count = _extract(archive, making, room.bytes if most_bytes is None else most_bytes)
        with told("unpack into", folder):
            making.rename(folder)
    except _BROKEN as error:
        raise Damaged(
            f"{archive} cannot be unpacked: {error}", "is it whole, and without a password?"
        ) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return count


def _extract(archive: Path, making: Path, most_bytes: int) -> int:
    with told("read", archive):
        members = _zip(archive, making) if zipfile.is_zipfile(archive) else _tar(archive)
        left, count = most_bytes, 0
        for name, file in members:
            path = making / name
            if file is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            count += 1
            if count > _MEMBERS:
                raise StorageError(f"{archive} has more than {_MEMBERS} files: it is not unpacked")
            left -= _write(path, file, left, archive)
    return count


def _write(path: Path, file: IO[bytes], most: int, archive: Path) -> int:
    """Bytes written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with told("write", path), path.open("xb") as out:
        while piece := file.read(_PIECE):
            written += len(piece)
            if written > most:
                raise NoSpace(f"{archive} is larger than the room there is: it is not unpacked")
            out.write(piece)
    return written


def _tar(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            name = _checked(member.name, archive)
            if not name:
                continue
            if member.isdir():
                yield name, None
            elif member.isreg():
                yield name, tar.extractfile(member)
            else:
                kind = "a link" if member.islnk() or member.issym() else "a device"
                raise BadKey(f"{archive}: {member.name!r} is {kind}: nothing is unpacked")
        _check_end(tar)


def _check_end(tar: tarfile.TarFile) -> None:
    """tarfile takes an archive that is cut between two members for a whole one."""
    file = tar.fileobj
    assert file is not None  # it was opened by name
    file.seek(tar.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends before its end")
    while file.read(_PIECE):
        pass  # of a compressed one: its checksum is at the end


def _zip(archive: Path, making: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        check_room(making.parent, sum(member.file_size for member in members), len(members), room_at(making))
        for member in members:
            name = _checked(member.filename, archive)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BadKey(f"{archive}: {member.filename!r} is a link or a device: nothing is unpacked")
            if not name:
                continue
            if member.is_dir():
                yield name, None
            else:
                with zipped.open(member) as file:
                    yield name, file


def _checked(name: str, archive: Path) -> str:
    """A relative path, without the ``./`` that tar likes; "" for the folder itself."""
    while name.startswith("./"):
        name = name[2:]
    name = name.rstrip("/")
    if name in ("", "."):
        return ""
    try:
        return os.fspath(check_path(name))
    except BadKey as error:
        raise BadKey(f"{archive}: {error.message}; nothing is unpacked") from None
