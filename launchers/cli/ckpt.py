"""``launcher ckpt``: which checkpoints there are, whether they are whole, and removing them."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ma_training.checkpoint import (
    CheckpointError,
    CheckpointStore,
    Entry,
    Fault,
    hold,
    is_name,
    read_entry,
    remove,
    verify,
)
from ma_training.job import format_size

from .ckpt_table import table, without_path
from .errors import UsageError, nearest

VERSION = 1
DEFAULT = Path("runs/checkpoints")
USAGE = """\
usage: launcher ckpt ls [DIR] [--json]
       launcher ckpt verify [DIR | CHECKPOINT ...] [--json]
       launcher ckpt rm CHECKPOINT ... [--force]
       launcher ckpt rm --keep N [DIR]

  ls        which checkpoints there are, newest first
  verify    reads every byte of them; exit code 1 where one is damaged
  rm        removes these, or all but the N newest good ones; what is being read stays, and
            the last that can be resumed from goes with --force alone

DIR holds checkpoints, or directories of checkpoints (default: runs/checkpoints).
"""
_FLAGS = {"ls": ("--json",), "verify": ("--json",), "rm": ("--force", "--keep")}


def main(words: Sequence[str]) -> int:
    if not words or set(words) & {"-h", "--help"}:
        sys.stdout.write(USAGE)
        return 0 if words else 64
    action, *rest = words
    if action not in _FLAGS:
        known = nearest(action, tuple(_FLAGS))
        hint = f"did you mean {known}?" if known else "write ls, verify or rm"
        raise UsageError(f"launcher ckpt {action}: unknown", hint)
    flags, paths = _parse(action, rest)
    try:
        if action == "ls":
            return _ls(paths, "--json" in flags)
        if action == "verify":
            return _verify(paths, "--json" in flags)
        if "--keep" in flags:
            return _keep(paths, flags)
        return _rm(paths, "--force" in flags)
    except CheckpointError as error:
        return _fail(error)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _fail(f"cannot read {error.filename}: {error.strerror}")


def _parse(action: str, words: Sequence[str]) -> tuple[dict[str, str], list[Path]]:
    """Its flags, with their values, and the paths."""
    flags: dict[str, str] = {}
    paths: list[Path] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            paths.append(Path(word))
        elif name not in _FLAGS[action] or (equals and name != "--keep"):
            raise UsageError(f"launcher ckpt {action}: unknown option {word}", "see launcher ckpt --help")
        else:
            flags[name] = value if equals or name != "--keep" else next(rest, "")
    return flags, paths


# --- ls ---


def _ls(paths: Sequence[Path], as_json: bool) -> int:
    if len(paths) > 1:
        raise UsageError("launcher ckpt ls takes one directory", "see launcher ckpt --help")
    directory = paths[0] if paths else DEFAULT
    roots = _roots(directory)
    for root in roots:
        entries, rejected = CheckpointStore(root).scan()
        if as_json:
            _print_json(map(_record, entries))
            _print_json({"checkpoint": str(bad.path), "damaged": bad.reason} for bad in rejected)
        else:
            sys.stdout.write(table(root, entries, rejected))
    if not roots:
        sys.stderr.write(f"launcher: no checkpoints in {directory}\n")
    return 0


def _record(entry: Entry) -> dict[str, Any]:
    manifest = entry.manifest
    return {
        "checkpoint": str(entry.path),
        "job": manifest.job,
        "identity": manifest.identity,
        "step": manifest.step,
        "epoch": manifest.epoch,
        "world_size": manifest.world_size,
        "cause": {"kind": manifest.cause.kind, "text": manifest.cause.text},
        "created": manifest.created,
        "bytes": manifest.size,
        "files": len(manifest.files),
    }


# --- verify ---


def _verify(paths: Sequence[Path], as_json: bool) -> int:
    checkpoints = [found for path in paths or [DEFAULT] for found in _checkpoints(path)]
    if not checkpoints:
        raise UsageError("no checkpoints there to verify", "see launcher ckpt ls")
    bad = 0
    for path in checkpoints:
        size, faults = _faults(path)
        bad += bool(faults)
        if as_json:
            told = [{"file": fault.file, "what": fault.what} for fault in faults]
            _print_json([{"checkpoint": str(path), "valid": not faults, "bytes": size, "faults": told}])
        else:
            lines = "".join(f"        {fault.file}: {fault.what}\n" for fault in faults)
            sys.stdout.write(f"{'bad' if faults else 'ok '}  {path}  {format_size(size)}\n{lines}")
            sys.stdout.flush()
    return 1 if bad else 0


def _faults(path: Path) -> tuple[int, list[Fault]]:
    """Its size in bytes, and what is wrong with it."""
    try:
        entry = read_entry(path)
        with hold(entry):
            return entry.manifest.size, verify(path, entry.manifest)
    except CheckpointError as error:
        return 0, [Fault("manifest.json", without_path(str(error), path))]


# --- rm ---


def _rm(paths: Sequence[Path], force: bool) -> int:
    if not paths:
        raise UsageError("launcher ckpt rm needs the checkpoints to remove", "or --keep N")
    for path in paths:
        if not is_name(path.name) or not path.is_dir():
            raise UsageError(f"{path} is not a checkpoint", "see launcher ckpt ls for their names")
    if not force:
        for root in sorted({path.parent for path in paths}):
            _check_not_last(root, {path.name for path in paths if path.parent == root})
    for path in dict.fromkeys(paths):
        _print_removed(path, remove(path))
    return 0


def _check_not_last(root: Path, names: set[str]) -> None:
    """Raises CheckpointError where one of ``names`` is whole, and no other in ``root`` is."""
    entries = CheckpointStore(root).entries()
    if any(not _faults(entry.path)[1] for entry in entries if entry.path.name not in names):
        return
    for entry in entries:
        if entry.path.name in names and not _faults(entry.path)[1]:
            raise CheckpointError(
                f"nothing removed: {entry.path} is the last in {root} that can be resumed from\n"
                "    hint: --force removes it all the same"
            )


def _keep(paths: Sequence[Path], flags: dict[str, str]) -> int:
    text = flags["--keep"]
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--keep is {text!r}, not a number of at least 1")
    if len(paths) > 1 or "--force" in flags:
        raise UsageError("--keep N takes one directory, and no --force", "see launcher ckpt --help")
    code = 0
    for root in _roots(paths[0] if paths else DEFAULT):
        removed, stayed = CheckpointStore(root).retain(int(text))
        for one in removed:
            _print_removed(one.entry.path, one.freed)
        for one_more in stayed:
            code = _fail(one_more.reason)
    return code


def _print_removed(path: Path, freed: int) -> None:
    sys.stdout.write(f"removed {path}, freed {format_size(freed)}\n")


# --- what the words mean ---


def _roots(path: Path) -> list[Path]:
    """The directories of checkpoints that ``path`` is, or holds."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a directory", "launcher ckpt ls DIR, where DIR holds checkpoints")
    if is_name(path.resolve().name):
        raise UsageError(f"{path} is a checkpoint", "name the directory that it is in")
    return [root for root in (path, *sorted(path.iterdir())) if root.is_dir() and _holds_checkpoints(root)]


def _checkpoints(path: Path) -> list[Path]:
    if is_name(path.name) or not path.is_dir():
        if not path.exists():
            raise UsageError(f"there is no {path}", "see launcher ckpt ls")
        return [path]
    scans = [CheckpointStore(root).scan() for root in _roots(path)]
    good = [entry.path for entries, _ in scans for entry in entries]
    return good + [bad.path for _, rejected in scans for bad in rejected]


def _holds_checkpoints(path: Path) -> bool:
    return any(is_name(child.name) for child in path.iterdir())


def _print_json(records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        sys.stdout.write(json.dumps({"v": VERSION} | record, ensure_ascii=False) + "\n")


def _fail(error: object) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"launcher: error: {error}\n")
    return 1
