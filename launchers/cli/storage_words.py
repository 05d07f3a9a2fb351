"""What ``launcher cp``, ``sync`` and ``ls`` have in common: their words, and how they say what happened."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ma_training.job import format_duration, format_size
from ma_training.storage import FULL, BadUrl, Report, StorageError, Url, check_room, give_back_memory, room_at

from .errors import UsageError, nearest

VERSION = 1
# ma-cli's, of both commands that copy; each takes a value.
PROFILE_FLAGS = {"-P": "--profile", "-C": "--config-file"}


@dataclass
class Words:
    """Flags, those with a value with it, and the rest."""

    flags: dict[str, str] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    def number(self, name: str, default: int) -> int:
        text = self.flags.get(name, str(default))
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 256:
            raise UsageError(f"{name} is {text!r}, not a number from 1 to 256")
        return int(text)

    def environ(self) -> Mapping[str, str]:
        """The process's, with the profile that was asked for."""
        asked = {"MA_CLI_PROFILE": "--profile", "MA_CLI_PROFILE_FILE": "--config-file"}
        return {
            **os.environ,
            **{name: self.flags[flag] for name, flag in asked.items() if flag in self.flags},
        }


def parse(command: str, words: Sequence[str], alone: Sequence[str], valued: Sequence[str]) -> Words:
    """``alone`` and ``valued`` are its flags; "-d:--drop" is a short one, and what it stands for."""
    long = dict(name.split(":") for name in (*alone, *valued) if ":" in name)
    known = {name.rpartition(":")[2]: name in valued for name in (*alone, *valued)}
    found, rest = Words(), iter(words)
    for word in rest:
        if word == "--":
            found.places.extend(rest)
        elif not word.startswith("-") or word == "-":
            found.places.append(word)
        else:
            name, equals, value = word.partition("=")
            name = long.get(name, name)
            if name not in known or (equals and not known[name]):
                meant = nearest(name, tuple(known))
                raise UsageError(
                    f"launcher {command}: unknown option {word}",
                    f"did you mean {meant}?" if meant else f"see launcher {command} --help",
                )
            if known[name] and not equals and not (value := next(rest, "")):
                raise UsageError(f"launcher {command}: {name} needs a value")
            found.flags[name] = value
    return found


def two_places(command: str, words: Words) -> tuple[Url, Url]:
    if len(words.places) != 2:
        raise UsageError(f"launcher {command} takes a source and a target", f"see launcher {command} --help")
    return Url.parse(words.places[0]), Url.parse(words.places[1])


def guarded(command: str, action: Callable[[], int]) -> int:
    """Its exit code: 1 where storage failed, 64 where what was asked makes no sense, 130 for Ctrl-C."""
    give_back_memory()
    try:
        return action()
    except BadUrl as error:
        raise UsageError(f"launcher {command}: {error.message}", error.hint) from None
    except StorageError as error:
        return complain(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("launcher: interrupted: run it again to go on\n")
        return 130


def complain(text: str) -> int:
    sys.stderr.write(f"launcher: error: {text}\n")
    return 1


def room_check(target: Url) -> Callable[[int, int], None]:
    """Before the first byte: whether it fits, and a warning where the disk gets too full."""
    if not target.is_local:
        return lambda size, files: None
    path = Path(target.key)

    def check(size: int, files: int) -> None:
        room = room_at(path)
        check_room(path, size, files, room)
        if size and (used := room.used_with(size)) >= FULL:
            text = (
                f"launcher: warning: {path} will be {used:.0%} full; Kubernetes evicts from {FULL:.0%} on\n"
            )
            sys.stderr.write(
                text + "    hint: scratch (/cache, or where TMPDIR points to) may have more room\n"
            )

    return check


def print_json(record: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps({"v": VERSION, **record}) + "\n")


def tell(report: Report, source: Url, target: Url, as_json: bool) -> int:
    """What was done; returns the exit code."""
    for key, why in report.skipped:
        sys.stderr.write(f"launcher: left out {key}: it is {why}\n")
    for key, why in report.failed:
        sys.stderr.write(f"launcher: not copied: {key}: {why}\n")
    if report.failures > len(report.failed):
        sys.stderr.write(f"launcher: and {report.failures - len(report.failed)} more\n")
    if report.stopped:
        sys.stderr.write(f"launcher: error: given up: {report.stopped}\n")
    if as_json:
        print_json(_record(report, source, target))
    else:
        sys.stdout.write(_sentence(report, target))
    return 0 if report.complete else 1


def _sentence(report: Report, target: Url) -> str:
    counted = [f"copied {report.files} files ({format_size(report.bytes)}) to {target}"]
    counted += [f"{report.kept} were there already"] if report.kept else []
    counted += [f"deleted {report.deleted}"] if report.deleted else []
    counted += [f"{report.failures} FAILED"] if report.failures else []
    return ", ".join(counted) + f", in {format_duration(report.seconds)}\n"


def _record(report: Report, source: Url, target: Url) -> dict[str, Any]:
    return {
        "source": str(source),
        "target": str(target),
        "complete": report.complete,
        "files": report.files,
        "kept": report.kept,
        "bytes": report.bytes,
        "deleted": report.deleted,
        "failures": report.failures,
        "failed": [{"key": key, "why": why} for key, why in report.failed],
        "skipped": [{"key": key, "why": why} for key, why in report.skipped],
        "seconds": round(report.seconds, 3),
    }
