"""Runs a vendor's tool. One that hangs, floods or is not there is an answer too, never an exception."""

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST = 4 << 20  # bytes of output; nvidia-smi -q of 16 GPUs writes 0.3 MiB
_PATIENCE = 0.2  # seconds for a killed tool to be gone; one that sits in the driver stays longer
_SHOWN = 160  # characters of an answer in an error
_lock = threading.Lock()  # checks run in threads
_running: "set[subprocess.Popen[bytes]]" = set()
_over = False


@dataclass(frozen=True, slots=True)
class Answer:
    """``problem``: '' where it ran to its end, else missing, refused, hung or flooded."""

    command: str
    text: str = ""  # stdout and stderr as they came
    code: int | None = None
    problem: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problem and self.code == 0

    def describe(self) -> str:
        """What went wrong, in words.

        >>> Answer("npu-smi info", "dcmi module initialize failed. ret is -8005", 255).describe()
        "'npu-smi info' exited with code 255: dcmi module initialize failed. ret is -8005"
        """
        said = " ".join(self.text.split())[:_SHOWN]
        tail = f": {said}" if said else ""
        if self.problem == "missing":
            return f"'{self.command}' cannot be run: there is no such program{tail}"
        if self.problem == "refused":
            return f"'{self.command}' cannot be run{tail}"
        if self.problem == "hung":
            return f"'{self.command}' has not answered within {self.seconds:.1f} s"
        if self.problem == "flooded":
            return f"'{self.command}' wrote more than {MOST >> 20} MiB and was ended"
        return f"'{self.command}' exited with code {self.code}{tail}"


def run_tool(words: Sequence[str], within: float, environ: Mapping[str, str] | None = None) -> Answer:
    """``within``: seconds. A tool that takes longer is killed with its children, and not waited for."""
    command, began = " ".join(words), time.monotonic()
    given = os.environ if environ is None else environ
    try:
        program = _find(words[0], given.get("PATH", os.defpath))
        process = _start([program, *words[1:]], given)
    except FileNotFoundError:
        return Answer(command, problem="missing")
    except OSError as error:
        return Answer(command, error.strerror or str(error), problem="refused")
    data, problem = _read(process, began + within)
    if not problem and not _reaped(process, max(began + within - time.monotonic(), _PATIENCE)):
        problem = "hung"  # it has closed its output, and stays
    if problem:
        _kill(process)
    with _lock:
        _running.discard(process)
    if process.stdout is not None:
        process.stdout.close()
    text = data.decode(errors="replace")
    return Answer(command, text, process.returncode, problem, time.monotonic() - began)


def stop_all() -> None:
    """This process is about to end: tools that run are killed, and no other is started."""
    global _over
    with _lock:
        _over = True
        for process in _running:
            _kill(process)


def _start(words: Sequence[str], environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with _lock:
        if _over:
            raise OSError(0, "the launcher is about to end")
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environ, "LC_ALL": "C"},  # dates and words in the one form that is parsed
            start_new_session=True,
        )
        _running.add(process)
        return process


def _find(name: str, path: str) -> str:
    """Of the environment that is given, which need not be ours."""
    if "/" in name:
        return name
    import shutil

    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, str]:
    """All that it writes, and what is wrong with that."""
    assert process.stdout is not None
    descriptor, size = process.stdout.fileno(), 0
    parts: list[bytes] = []
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        part = os.read(descriptor, 1 << 16)
        if not part:
            return b"".join(parts), ""
        parts.append(part)
        size += len(part)
        if size > MOST:
            return b"".join(parts), "flooded"
    return b"".join(parts), "hung"


def _kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if not _reaped(process, _PATIENCE):
        # It sits in the driver (D state) and dies when that lets go of it; init has it then.
        process.returncode = -signal.SIGKILL


def _reaped(process: "subprocess.Popen[bytes]", within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True
