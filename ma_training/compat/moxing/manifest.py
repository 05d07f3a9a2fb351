"""``copy_manifest``: a data set's manifest, with all files that it names.

A manifest has a line of JSON for each sample; ``source`` is its file, and ``annotation-loc`` of an annotation
is another. What is in object storage comes to be in the target under ``<bucket>/<key>``, so that no two files
meet; a text that is its own source (``content://...``), and local paths, stay as they are.
"""

import json
from collections.abc import Iterator
from typing import Any

from ma_training.storage import BadUrl, Url

from . import auth, copying
from .chosen import Chosen
from .exceptions import missing, translated
from .location import Path, is_remote, url_of
from .whole import read, write

Buckets = dict[str, set[str]]  # "obs://bucket/" → keys


def copy_manifest(manifest_url: Path, dst_url: Path) -> tuple[str, int]:
    """Path of the new manifest, which names the copies; and how many files were copied.

    Raises MoxFileNotExistsException, ValueError for a line that is no JSON.
    """
    with translated():
        source, target = url_of(manifest_url), url_of(dst_url).directory
        buckets: Buckets = {}
        lines = [_moved(line, str(target), buckets) for line in _lines(str(manifest_url))]
        count = sum(_copy(root, keys, target) for root, keys in sorted(buckets.items()))
        path = str(target.child(source.name))
        if copying.is_same(source, Url.parse(path)):
            raise BadUrl(f"{path} would be written over by the new manifest", "copy to another directory")
        write(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        return path, count


def _lines(manifest: str) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(read(manifest).splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{manifest}, line {number}: {error}; a line of JSON was expected") from None
        if not isinstance(line, dict):
            raise ValueError(
                f"{manifest}, line {number}: an object {{...}} was expected, found {text[:40]!r}"
            )
        yield line


def _moved(line: dict[str, Any], target: str, buckets: Buckets) -> dict[str, Any]:
    """The line with local names; notes in ``buckets`` what is to be fetched."""
    moved = dict(line)
    if is_remote(line.get("source")):
        moved["source"] = _note(line["source"], target, buckets)
    if isinstance(line.get("annotation"), list):
        moved["annotation"] = [_annotation(one, target, buckets) for one in line["annotation"]]
    return moved


def _annotation(annotation: Any, target: str, buckets: Buckets) -> Any:
    if isinstance(annotation, dict) and is_remote(annotation.get("annotation-loc")):
        return {**annotation, "annotation-loc": _note(annotation["annotation-loc"], target, buckets)}
    return annotation


def _note(text: str, target: str, buckets: Buckets) -> str:
    url = Url.parse(text)
    buckets.setdefault(str(url.root), set()).add(url.key)
    return f"{target}{url.bucket}/{url.key}"


def _copy(root: str, keys: set[str], target: Url) -> int:
    url = Url.parse(root)
    chosen = Chosen(auth.open_at(url), keys)
    report = copying.copy_store(chosen.store, target.child(url.bucket))
    if chosen.missing:
        some = ", ".join(chosen.missing[:5]) + (" ..." if len(chosen.missing) > 5 else "")
        raise missing(f"the manifest names what is not in {root}: {some}")
    return report.files
