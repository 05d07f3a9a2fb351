"""``glob``: names by pattern, with the rules of Python's own."""

import fnmatch
import glob as locally
from collections.abc import Iterator

from .exceptions import translated
from .location import Path, Remote, is_remote, local


def glob(url: Path, recursive: bool = False) -> list[str]:
    """Sorted paths or URLs; ``*`` stays within a directory, ``**`` goes through all with ``recursive``."""
    if not is_remote(url):
        return sorted(locally.glob(local(url), recursive=recursive))  # noqa: PTH207
    with translated():
        place = Remote.of(str(url))
        head = str(url)[: len(str(url)) - len(place.url.key)].rstrip("/") + "/"
        parts = place.key.split("/") if place.key else []
        found = _matching(place, "", parts, place.slashed, recursive)
        return sorted(dict.fromkeys(head + key for key in found))


def is_pattern(part: str) -> bool:
    return any(letter in part for letter in "*?[")


def matches(names: list[str], pattern: str) -> list[str]:
    """A leading dot is matched by a dot alone.

    >>> matches(["a.jpg", ".b.jpg", "c.png"], "*.jpg")
    ['a.jpg']
    """
    hidden = pattern.startswith(".")
    return [name for name in names if fnmatch.fnmatchcase(name, pattern) and (hidden or name[:1] != ".")]


def _matching(place: Remote, above: str, parts: list[str], slashed: bool, recursive: bool) -> Iterator[str]:
    """Keys below ``above`` (with its slash) that fit the rest of the pattern."""
    fixed = 0
    while fixed < len(parts) and not is_pattern(parts[fixed]):
        fixed += 1
    if fixed == len(parts):
        yield from _if_there(place, above + "/".join(parts), slashed)
        return
    above += "".join(part + "/" for part in parts[:fixed])
    pattern, rest = parts[fixed], parts[fixed + 1 :]
    if recursive and pattern == "**":
        yield from _below(place, above, rest, slashed)
        return
    directories, entries = place.bucket.list_directory(above.rstrip("/"))
    cut = len(above)
    names = matches([key[cut:].rstrip("/") for key in directories], pattern)
    if rest:
        for name in names:
            yield from _matching(place, f"{above}{name}/", rest, slashed, recursive)
        return
    yield from (above + name + ("/" if slashed else "") for name in names)
    if not slashed:
        yield from (above + name for name in matches([entry.key[cut:] for entry in entries], pattern))


def _below(place: Remote, above: str, rest: list[str], slashed: bool) -> Iterator[str]:
    """For ``**``: this directory, and each one below it."""
    if not rest:
        if above:
            yield above
        for entry in place.bucket.list(above):
            key = entry.key[len(above) :]
            for at in (index for index, letter in enumerate(key) if letter == "/"):
                yield above + key[: at + (1 if slashed else 0)]
            if key and not slashed and not entry.is_directory:
                yield entry.key
        return
    yield from _matching(place, above, rest, slashed, True)
    directories, _ = place.bucket.list_directory(above.rstrip("/"))
    for key in directories:
        yield from _below(place, key, rest, slashed)


def _if_there(place: Remote, key: str, slashed: bool) -> Iterator[str]:
    found = Remote(place.bucket, place.url, key, slashed)
    if found.file() or (key and found.is_directory()):
        yield key + ("/" if slashed else "")
