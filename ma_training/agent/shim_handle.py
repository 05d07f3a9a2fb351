"""The agent's end of a shim: starts it, sends it orders, turns its frames into calls."""

import os
import socket
import sys
from pathlib import Path
from typing import Protocol

from ma_training.job import WorkerSpec

from . import shim
from .streams import Paths
from .telemetry import TelemetryPage


class ShimListener(Protocol):
    """Whom a shim's reports go to. ``status`` is an exit code, or -n for signal n."""

    def on_spawned(self, rank: int, pid: int) -> None: ...
    def on_spawn_failed(self, rank: int, error: str, number: int) -> None: ...
    def on_unlogged(self, rank: int, error: str) -> None: ...
    def on_exited(self, rank: int, status: int) -> None: ...
    def on_gone(self, rank: int) -> None: ...
    def on_shim_lost(self, rank: int) -> None: ...


class ShimHandle:
    """One rank's shim. Start it from the main thread only: see `shim`."""

    def __init__(self, rank: int, listener: ShimListener) -> None:
        self.rank = rank
        self._listener = listener
        self._inbox = bytearray()
        self.lost = False
        self._socket, theirs = socket.socketpair()
        self.page = TelemetryPage(rank)
        high = max(theirs.fileno(), self.page.fileno(), shim.TELEMETRY_FD) + 1
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", str(Path(shim.__file__)), str(os.getpid())],
                os.environ,
                file_actions=[
                    # Through high numbers first: either source may itself be 3 or 4.
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), high),
                    (os.POSIX_SPAWN_DUP2, self.page.fileno(), high + 1),
                    (os.POSIX_SPAWN_DUP2, high, shim.CONTROL_FD),
                    (os.POSIX_SPAWN_DUP2, high + 1, shim.TELEMETRY_FD),
                    (os.POSIX_SPAWN_CLOSE, high),
                    (os.POSIX_SPAWN_CLOSE, high + 1),
                ],
                setsid=True,
            )
        except OSError:
            self._socket.close()
            self.page.close()
            raise
        finally:
            theirs.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def spawn(self, spec: WorkerSpec, environ: dict[str, str], streams: Paths) -> None:
        """Starts the worker."""
        environ = {**environ, **spec.env, "TORCHELASTIC_ERROR_FILE": streams.error_file}
        if spec.bootstrapped:
            environ["LAUNCHER_WORKER_TELEMETRY"] = str(shim.TELEMETRY_FD)
        pairs = [f"{name}={value}" for name, value in environ.items()]
        group = "" if spec.bootstrapped else "group"
        paths = streams.stdin, streams.stdout, streams.stderr
        self._send("spawn", spec.cwd, *paths, group, len(spec.argv), *spec.argv, *pairs)

    def signal(self, number: int, target: str = "main") -> None:
        self._send("signal", int(number), target)

    def kill(self) -> None:
        self._send("kill")

    def close(self) -> None:
        """Lets the shim go: at end of file it kills what is left of its tree, and ends."""
        self._socket.close()
        self.page.close()

    def on_readable(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self.lost = True
            self._listener.on_shim_lost(self.rank)
            return
        self._inbox += data
        for verb, *fields in shim.decode(self._inbox):
            if verb == "spawned":
                self._listener.on_spawned(self.rank, int(fields[0]))
            elif verb == "failed":
                self._listener.on_spawn_failed(self.rank, fields[1], int(fields[0]))
            elif verb == "unlogged":
                self._listener.on_unlogged(self.rank, fields[0])
            elif verb == "exited":
                self._listener.on_exited(self.rank, int(fields[0]))
            elif verb == "gone":
                self._listener.on_gone(self.rank)

    def _send(self, *fields: object) -> None:
        try:
            self._socket.sendall(shim.encode(*fields))
        except (BrokenPipeError, ConnectionResetError):
            pass  # on_readable finds the end of file and reports the loss, once
