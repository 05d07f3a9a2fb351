"""The ``ip`` command (iproute2): the only thing outside the standard library that a cluster needs."""

import subprocess
from collections.abc import Sequence


def run(argv: Sequence[str], text: str = "") -> str:
    """What the command prints, given ``text`` to read. Raises RuntimeError with its complaint."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError(f"there is no command {argv[0]}") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RuntimeError(f"{' '.join(argv)}: {said}")
    return done.stdout


def run_batch(namespace: str, lines: Sequence[str]) -> None:
    """Runs lines, each a command of ``ip``, in the namespace. Raises RuntimeError at the first that fails."""
    run(["ip", "-n", namespace, "-batch", "-"], "".join(f"{line}\n" for line in lines))


def namespaces() -> set[str]:
    """The names of all network namespaces there are."""
    return {line.split()[0] for line in run(["ip", "netns", "list"]).splitlines()}


def processes(namespace: str) -> set[int]:
    """What runs in it."""
    return {int(pid) for pid in run(["ip", "netns", "pids", namespace]).split()}
