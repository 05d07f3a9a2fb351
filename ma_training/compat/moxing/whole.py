"""Whole files in one call: read, write, append, append_remote."""

import tempfile
from pathlib import Path as LocalPath
from typing import Any

from .exceptions import translated
from .file_object import File
from .location import Path, Remote, is_remote
from .remote_writer import append_file


def read(url: Path, client_id: object = None, binary: bool = False) -> Any:
    """Text (UTF-8), or bytes with ``binary``."""
    with File(url, "rb" if binary else "r") as file:
        try:
            return file.read()
        except UnicodeDecodeError as error:
            text = f"{url} is no text in UTF-8: {error.reason} at byte {error.start}"
            raise UnicodeError(f"{text}\n    hint: mox.file.read(url, binary=True)") from None


def write(url: Path, data: Any, binary: bool = False) -> None:
    """In place of what was there. ``data``: text, or bytes."""
    with File(url, "wb" if _is_binary(data, binary) else "w") as file:
        file.write(data)


def append(url: Path, data: Any, binary: bool = False) -> None:
    """After what is there. An object is read and written anew for it: slow for a large one."""
    with File(url, "ab" if _is_binary(data, binary) else "a") as file:
        file.write(data)


def _is_binary(data: object, binary: bool) -> bool:
    return binary or isinstance(data, bytes | bytearray | memoryview)


def append_remote(src_url: Path, dst_url: Path) -> None:
    """What is in the first comes after what is in the second, which need not be there."""
    with translated(), File(src_url, "rb") as source, tempfile.TemporaryDirectory(prefix="moxing-") as folder:
        tail = LocalPath(folder, "content")
        with open(tail, "wb") as file:
            while piece := source.read(1 << 20):
                file.write(piece)
        if is_remote(dst_url):
            append_file(Remote.of(str(dst_url)), tail)
            return
        with open(tail, "rb") as file, File(dst_url, "ab") as target:
            while piece := file.read(1 << 20):
                target.write(piece)
