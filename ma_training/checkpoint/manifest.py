"""What a checkpoint's manifest says: whose it is, why it was written, which files belong to it. Pure.

{"format": 1, "job", "identity", "step", "epoch", "world_size", "cause": {"kind", "text"}, "created",
 "meta": {...}, "ranks": {"0": {...}}, "files": {name: {"bytes", "sha256"}}, "digest"}

``digest`` is the SHA-256 of the rest, as JSON with sorted keys, without blanks, in ASCII. Keys that a
later version adds are ignored; what a reader must not ignore gets another ``format``.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .errors import CheckpointError

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.safetensors"

_RANK_FILE = re.compile(r"rank-(\d{5,})\.safetensors")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9]\d{0,8}")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a checkpoint was written: periodic, exception, sigterm, sigkill, oom, hang, final ..."""

    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file's content."""

    size: int  # bytes
    sha256: str  # hex


@dataclass(frozen=True, slots=True)
class Manifest:
    """``created`` is ISO 8601 in UTC. ``meta`` is the state's JSON document, ``ranks`` those of ranks."""

    job: str
    identity: str
    step: int
    epoch: int
    world_size: int
    cause: Cause
    created: str
    meta: dict[str, Any]
    ranks: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files but the manifest."""
        return sum(record.size for record in self.files.values())

    def to_json(self) -> bytes:
        """The file's content. Raises CheckpointError for what would not come back as it is."""
        document = self._document()
        try:
            _check_plain(document, "")
            document["digest"] = _digest(document)
            # A lone surrogate, as in a path that is no UTF-8, becomes the escape that JSON has for it.
            lines = [
                f" {json.dumps(name)}: {json.dumps(document[name], ensure_ascii=False)}" for name in document
            ]
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"not saved: the state's meta is not JSON: {error}") from None
        data = ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")
        Manifest.from_json(data, "the manifest to be written")
        return data

    def _document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "job": self.job,
            "identity": self.identity,
            "step": self.step,
            "epoch": self.epoch,
            "world_size": self.world_size,
            "cause": {"kind": self.cause.kind, "text": self.cause.text},
            "created": self.created,
            "meta": self.meta,
            "ranks": {str(rank): meta for rank, meta in self.ranks.items()},
            "files": {
                name: {"bytes": record.size, "sha256": record.sha256} for name, record in self.files.items()
            },
        }

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Manifest":
        """Raises CheckpointError, naming ``where``, for what is damaged, foreign or of another format."""
        document = _parse(data, where)
        version = document.get("format")
        if type(version) is not int or version < 1:
            raise CheckpointError(f"{where}: no manifest of a checkpoint: its format is {version!r:.60}")
        if version > FORMAT:
            raise CheckpointError(
                f"{where}: format {version} is of a later version of ma-training, this one reads {FORMAT}"
            )
        digest = document.pop("digest", None)
        if digest != _digest(document):
            raise CheckpointError(f"{where}: damaged: its digest does not fit its content")
        try:
            return _read(document)
        except _BadValue as error:
            raise CheckpointError(f"{where}: {error}") from None


def rank_file(rank: int) -> str:
    """
    >>> rank_file(3)
    'rank-00003.safetensors'
    """
    return f"rank-{rank:05d}.safetensors"


def is_file_name(name: str) -> bool:
    """Whether a file of a checkpoint may be called so."""
    return name in (MANIFEST, STATE) or bool(_RANK_FILE.fullmatch(name))


class _BadValue(Exception):
    """Which field, and what is in it."""


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: damaged: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{where}: no manifest of a checkpoint: not a JSON object")
    return document


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_plain(value: Any, at: str) -> None:
    """JSON turns keys into strings without a word; everything else that it cannot say is named here."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise CheckpointError(f"not saved: the key {key!r} in {at or 'meta'} is not a string")
            _check_plain(item, f"{at}/{key}" if at else key)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_plain(item, at)
    elif not (value is None or isinstance(value, (str, int, float))):
        raise CheckpointError(f"not saved: {at} holds {type(value).__name__}, which JSON has no word for")


def _read(document: Mapping[str, Any]) -> Manifest:
    world_size = _whole(document, "world_size", 1)
    cause = _dict(document, "cause")
    return Manifest(
        job=_text(document, "job"),
        identity=_text(document, "identity"),
        step=_whole(document, "step", 0),
        epoch=_whole(document, "epoch", 0),
        world_size=world_size,
        cause=Cause(_matching(cause, "kind", _KIND), _text(cause, "text")),
        created=_time(document, "created"),
        meta=_dict(document, "meta"),
        ranks=_ranks(_dict(document, "ranks"), world_size),
        files=_files(_dict(document, "files"), world_size),
    )


def _ranks(ranks: Mapping[str, Any], world_size: int) -> dict[int, dict[str, Any]]:
    for name in ranks:
        if not _NUMBER.fullmatch(name) or int(name) >= world_size:
            raise _BadValue(f"ranks: {name!r:.60} is no rank of {world_size}")
    return {int(name): _dict(ranks, name) for name in ranks}


def _files(files: Mapping[str, Any], world_size: int) -> dict[str, FileRecord]:
    if STATE not in files:
        raise _BadValue(f"files: {STATE} is missing")
    return {name: _file(files, name, world_size) for name in files}


def _file(files: Mapping[str, Any], name: str, world_size: int) -> FileRecord:
    # Nothing else is ever opened, so that no name leads out of the directory.
    found = _RANK_FILE.fullmatch(name)
    known = name == STATE or (found and name == rank_file(int(found[1])) and int(found[1]) < world_size)
    if not known:
        raise _BadValue(f"files: {name!r:.60} is no file of a checkpoint of {world_size} ranks")
    record = _dict(files, name)
    return FileRecord(_whole(record, "bytes", 0), _matching(record, "sha256", _SHA256))


def _value(record: Mapping[str, Any], name: str) -> Any:
    if name not in record:
        raise _BadValue(f"{name} is missing")
    return record[name]


def _dict(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = _value(record, name)
    if not isinstance(value, dict):
        raise _BadValue(f"{name} is {value!r:.60}, not an object")
    return value


def _text(record: Mapping[str, Any], name: str) -> str:
    value = _value(record, name)
    if not isinstance(value, str):
        raise _BadValue(f"{name} is {value!r:.60}, not a text")
    return value


def _matching(record: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = _text(record, name)
    if not pattern.fullmatch(value):
        raise _BadValue(f"{name} is {value!r:.60}, not like {pattern.pattern}")
    return value


def _whole(record: Mapping[str, Any], name: str, least: int) -> int:
    value = _value(record, name)
    if type(value) is not int or value < least:
        raise _BadValue(f"{name} is {value!r:.60}, not a number of at least {least}")
    return value


def _time(record: Mapping[str, Any], name: str) -> str:
    value = _text(record, name)
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise _BadValue(f"{name} is {value!r:.60}, not a time in UTC")
    return value
