"""Which running job is meant: by run directory, name, process id, or as the newest."""

import os
from dataclasses import dataclass
from pathlib import Path

from ma_training.agent.running import command_of, has_ended, nodes_of, owner_of, workers_of

from .errors import UsageError, nearest

OTHERS = "another user's"
HINT = "name a run directory, a run in --run-dir DIR, or the process id of a launcher or worker"


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    pid: int  # of the agent here; or of one worker
    run: Path | None = None  # its directory, where it is known
    elsewhere: tuple[str, ...] = ()  # nodes on other hosts


def find_target(word: str, base: Path) -> Target:
    """Raises UsageError, which says what there is, where nothing that ``word`` means runs here."""
    if not word:
        return _newest(base)
    if word.isdecimal():
        return _by_pid(int(word))
    for path in (Path(word), base / word):
        if _is_run(path):
            return _of_run(path)
    there = [path.name for path in _runs(base)]
    known = nearest(word, there)
    raise UsageError(
        f"there is no run {word}, neither as a directory nor in {base}",
        f"did you mean {known}?" if known else _running(base),
    )


def _by_pid(pid: int) -> Target:
    owner = owner_of(pid)
    if owner is None:
        raise UsageError(f"there is no process {pid}", HINT)
    try:
        if workers_of(pid):
            return Target(f"process {pid}", pid)
    except PermissionError:
        raise UsageError(f"process {pid} is {OTHERS} (uid {owner})", "run it as that user") from None
    raise UsageError(
        f"process {pid} ({command_of(pid)}) is neither a launcher with workers nor one of them", HINT
    )


def _of_run(path: Path) -> Target:
    try:
        os.listdir(path / "events")  # glob passes over what it may not read
        nodes, ended = nodes_of(path), has_ended(path)
    except PermissionError:
        raise UsageError(f"{path} is {OTHERS}", "run it as the user who started the job") from None
    if ended:
        raise UsageError(
            f"{path} has ended", "launcher dump is for jobs that run; what happened is in its files"
        )
    here = [node for node in nodes if node.here]
    others = tuple(f"{node.name} (host {node.host})" for node in nodes if not node.here)
    running = [node for node in here if owner_of(node.pid) is not None]
    if running:
        return Target(str(path), running[0].pid, path, others)
    if others:
        raise UsageError(
            f"{path} does not run on this host ({os.uname().nodename})",
            f"it runs on {', '.join(others)}: run it there",
        )
    raise UsageError(f"{path} does not run any more, and left no result: its launcher was killed")


def _is_run(path: Path) -> bool:
    try:
        return (path / "events").is_dir()
    except PermissionError:  # what cannot be looked into is said when it is looked into
        return True


def _runs(base: Path) -> list[Path]:
    """Run directories, the newest first."""
    try:
        found = [path for path in base.iterdir() if _is_run(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise UsageError(f"{base} is {OTHERS}", "run it as the user who started the job") from None
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _newest(base: Path) -> Target:
    hint = HINT
    for path in _runs(base):
        try:
            return _of_run(path)
        except UsageError as error:
            if hint == HINT and "it runs on" in error.hint:
                hint = f"of {path.name}, {error.hint}"
            elif hint == HINT and OTHERS in str(error):
                hint = f"{path} is {OTHERS}: {error.hint}"
    raise UsageError(f"no job of {base} runs on this host", hint)


def _running(base: Path) -> str:
    names = []
    for path in _runs(base):
        try:
            names.append(Path(_of_run(path).name).name)
        except UsageError:
            continue
    return f"running here: {', '.join(names[:5])}" if names else HINT
